"""What refunds leave of a bare log, in no haste: one refund after the other, one customer."""


def days_left(rows):
    """Return the purchase days of (day, amount) rows in order, each with what is left of it."""
    purchases = [[day, amount, amount] for day, amount in sorted(rows) if amount >= 0]
    for day, amount in sorted((day, -amount) for day, amount in rows if amount < 0):
        before = [each for each in purchases if each[0] <= day and each[2] > 0][::-1]
        equal = [each for each in before if each[2] == amount][:1]
        for each in equal or before:
            taken = min(amount, each[2])
            each[2] -= taken
            amount -= taken
    worth = {}
    for day, paid, left in purchases:
        if left > 0 or paid == 0:
            worth[day] = worth.get(day, 0) + left
    return dict(sorted(worth.items()))

"""The tables in which facts and profiles leave something, whichever door they come by."""

TABLES = ("customers", "customer_search", "transactions", "transaction_revisions", "interactions",
          "interaction_revisions", "interaction_days", "refund_allocations", "purchase_days",
          "unallocated_refunds", "purchase_summaries", "profile_changes",
          "stage_transitions")  # fmt: skip
WRITTEN = ("received_at", "recorded_at", "created_at", "updated_at", "profile_holds_from",
           "version", "stage_version", "transition_id", "content")  # fmt: skip
"""Columns that tell when and how often something was written. The content of revisions that are not
in force is spelt by who put them aside; their fingerprints are of the same."""

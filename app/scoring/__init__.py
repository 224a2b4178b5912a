"""Customer-base analysis in plain numpy: arrays in, arrays or frozen dataclasses out.

Nothing here reads a clock, does I/O or imports another part of the application; the only
library is numpy. Times are in any one unit, the same for ``x, t_x, T`` and horizons, and no
prediction depends on which.

===================  =====================================================================
``purchase_summary``  a raw log of purchases and refunds -> ``x, t_x, T``, mean value, ...
``bg_nbd, mbg_nbd``   when customers buy and whether they have left: fit and predictions
``pareto_nbd``        the same, where a customer may leave at any time
``cnbd_k``            the same as the first two, for purchases more regular than at random
``nbd``               the same, where nobody leaves
``registry``          all of these by name, and all scorers
``gamma_gamma``       what a purchase of a customer is worth
``clv``               discounted lifetime value, value at risk, tiers
``churn``             reasons behind a probability of no purchase; levels of silence
``churn_features``    what is known of customers at a day, from a log of facts
``landmark``          churn risk learnt from a business's own past, without looking ahead
``churn_risk``        such a risk: log-odds at any horizon, reasons, to be stored and read back
``churn_choice``      which churn risk to serve, decided on a part of the history held out
``churn_horizon``     the horizon where nobody has chosen one
``churn_bands``       low, medium and high risk, and what became of each
``backtest``          what all of these would have told in the past, beside what happened
``rfm``               recency, frequency and monetary scores against stored cuts; groups; classes
``hiatus``            the baseline every model has to beat: silence alone; the base rate
``logistic``          a ridge regression with reasons that add up; Platt and isotonic recalibration
``evaluation``        calibration, losses, AUC, lift and errors of predictions, with standard errors
``bootstrap``         percentile intervals of any of these, and of parameters
``select``            which model to use, decided on a part of the history held out
===================  =====================================================================
"""

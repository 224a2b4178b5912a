"""Customer-base analysis in plain numpy: arrays in, arrays or frozen dataclasses out.

Nothing here reads a clock, does I/O or imports another part of the application; the only
library is numpy. Times are in any one unit, the same for ``x, t_x, T`` and horizons, and no
prediction depends on which. A package imports those below it:

==============  ===========================================================================
``churn``       the risk of no further purchase: ``landmark`` learns it from a business's own
                past, ``churn_choice`` takes the best on a part held out, ``churn_risk`` serves
                and explains it at any horizon, ``churn_bands`` grades it, ``backtest`` shows
                what it would have told
``evaluation``  ``metrics`` of predictions with standard errors, ``bootstrap`` intervals, and
                ``selection`` of a model of purchases on a part held out
``spend``       ``gamma_gamma``: what a purchase is worth; ``clv``: discounted lifetime value
``purchases``   when customers buy and whether they have left: ``bg_nbd``, ``mbg_nbd``,
                ``cnbd_k``, ``pareto_nbd``, ``nbd``, the baseline ``hiatus``; all by name in
                ``registry``
``regression``  ``logistic`` with reasons that add up; Platt and isotonic ``recalibration``
``histories``   ``purchase_summary``: a raw log -> ``x, t_x, T``, mean value, ...;
                ``features``: what is known of customers at a day
``rfm``         recency, frequency and monetary scores against stored cuts; groups; classes
``numerics``    special functions, Newton's method, checks of input, types
==============  ===========================================================================
"""

"""Numbers with their uncertainty: resampling by cluster, intervals, kappa. numpy only."""

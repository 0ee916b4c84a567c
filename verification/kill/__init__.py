"""The kill switch against a thousand resting orders, and the pace that the programs of one account share."""

"""The balance, as a script with pykalshi prints it."""

import os

from pykalshi import KalshiClient

with KalshiClient(
    api_key_id=os.environ["KALSHI_API_KEY_ID"],
    private_key_path=os.environ["KALSHI_PRIVATE_KEY_PATH"],
    api_base=os.environ["KALSHI_REST_URL"],
) as client:
    print(client.portfolio.get_balance().balance)

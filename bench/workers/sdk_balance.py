"""The balance, as a script with the official SDK prints it."""

import os
from pathlib import Path

from kalshi_python_sync import ApiClient, Configuration, KalshiAuth, PortfolioApi

api = ApiClient(Configuration(host=os.environ["KALSHI_REST_URL"]))
api.kalshi_auth = KalshiAuth(os.environ["KALSHI_API_KEY_ID"], Path(os.environ["KALSHI_PRIVATE_KEY_PATH"]).read_text())
print(PortfolioApi(api).get_balance().balance)

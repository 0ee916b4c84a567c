// Trade on a served exchange with kalshi-typescript 3.30.0, in a folder that has nothing of ours.
//
// Called as `node trade_typescript.cjs FOLDER LINE`: FOLDER holds the package, LINE is what `kalshi sim serve
// --accounts 2` printed. Prints one JSON object a call: its name, and what came of it.

const { createRequire } = require("node:module");
const { generateKeyPairSync, randomUUID } = require("node:crypto");

const [folder, line] = process.argv.slice(2);
const need = createRequire(`${folder}/`);
const [kalshi, axios] = [need("kalshi-typescript"), need("axios")];
const served = JSON.parse(line);

const APIS = [
  "Account", "ApiKeys", "Communications", "Events", "Exchange", "Historical", "IncentivePrograms", "LiveData",
  "Market", "Milestone", "Multivariate", "OrderGroups", "Orders", "Portfolio", "Search", "StructuredTargets",
];
const [one, two] = served.accounts.map((account) => {
  const configuration = new kalshi.Configuration({
    apiKey: account.key_id, privateKeyPath: account.private_key_path, basePath: served.rest_url,
  });
  // It signs in a hook of axios: where two accounts share one axios, both sign as the same account.
  const of = (name) => new kalshi[`${name}Api`](configuration, undefined, axios.create());
  return Object.fromEntries(APIS.map((name) => [name, of(name)]));
});
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// Do it, print what came of it, and return the body; where the rate limit refuses it, once more.
async function call(name, what) {
  let found, error;
  for (const wait of [0, 1]) {
    await pause(wait);
    try {
      found = (await what()).data;
      error = "";
      break;
    } catch (caught) {
      const reply = caught.response;
      error = `${caught.message} ${reply ? JSON.stringify(reply.data) : ""}`.slice(0, 300);
      if (!reply || reply.status !== 429) break;
    }
  }
  console.log(JSON.stringify({ call: name, error, result: String(JSON.stringify(found)).slice(0, 80) }));
  return found;
}

const limit = (ticker, side, count, price, more = {}) => ({
  ticker, side, count, price, time_in_force: "good_till_canceled",
  self_trade_prevention_type: "taker_at_cross", client_order_id: randomUUID(), ...more,
});

async function main() {
  const now = Math.floor(Date.now() / 1000);
  const ago = now - 3600;
  const undef = (n) => Array(n).fill(undefined);

  const { markets } = await call("getMarkets", () =>
    one.Market.getMarkets(1000, undefined, undefined, "KXINX", ...undef(7), "open"));
  const dear = markets.find((market) => Number(market.yes_bid_dollars) > 0.1); // so that a bid of a cent rests
  const { ticker, event_ticker: event } = dear;
  const other = markets.find((market) => market !== dear).ticker;
  const series = "KXINX";
  await call("getMarket", () => one.Market.getMarket(ticker));
  await call("getMarketOrderbook", () => one.Market.getMarketOrderbook(ticker));
  await call("getMarketOrderbooks", () => one.Market.getMarketOrderbooks([ticker, other]));
  await call("getMarketCandlesticks", () => one.Market.getMarketCandlesticks(series, ticker, ago, now, 1));
  await call("batchGetMarketCandlesticks", () => one.Market.batchGetMarketCandlesticks(ticker, ago, now, 1));
  await call("getTrades", () => one.Market.getTrades(50));
  await call("getSeries", () => one.Market.getSeries(series));
  await call("getSeriesList", () => one.Market.getSeriesList());
  await call("getEvents", () => one.Events.getEvents(200));
  await call("getEvent", () => one.Events.getEvent(event, true));
  await call("getEventMetadata", () => one.Events.getEventMetadata(event));
  await call("getMarketCandlesticksByEvent", () =>
    one.Events.getMarketCandlesticksByEvent(event, series, ago, now, 1));
  await call("getMultivariateEvents", () => one.Events.getMultivariateEvents());
  await call("getEventFeeChanges", () => one.Events.getEventFeeChanges());
  await call("getExchangeStatus", () => one.Exchange.getExchangeStatus());
  await call("getExchangeSchedule", () => one.Exchange.getExchangeSchedule());
  await call("getUserDataTimestamp", () => one.Exchange.getUserDataTimestamp());
  await call("getSeriesFeeChanges", () => one.Exchange.getSeriesFeeChanges());
  await call("getHistoricalCutoff", () => one.Historical.getHistoricalCutoff());
  await call("getHistoricalMarkets", () => one.Historical.getHistoricalMarkets());
  await call("getFillsHistorical", () => one.Historical.getFillsHistorical());
  await call("getHistoricalOrders", () => one.Historical.getHistoricalOrders());
  await call("getHistoricalPositions", () => one.Historical.getHistoricalPositions());
  await call("getTradesHistorical", () => one.Historical.getTradesHistorical());
  await call("getIncentivePrograms", () => one.IncentivePrograms.getIncentivePrograms());
  await call("getMilestones", () => one.Milestone.getMilestones(10));
  await call("getStructuredTargets", () => one.StructuredTargets.getStructuredTargets());
  await call("getFiltersForSports", () => one.Search.getFiltersForSports());
  await call("getTagsForSeriesCategories", () => one.Search.getTagsForSeriesCategories());
  const { multivariate_contracts: collections } = await call("getMultivariateEventCollections", () =>
    one.Multivariate.getMultivariateEventCollections());
  await call("getMultivariateEventCollection", () =>
    one.Multivariate.getMultivariateEventCollection(collections[0].collection_ticker));

  await call("getAccountApiLimits", () => one.Account.getAccountApiLimits());
  await call("getAccountEndpointCosts", () => one.Account.getAccountEndpointCosts());
  await call("getAccountApiUsageLevelVolumeProgress", () => one.Account.getAccountApiUsageLevelVolumeProgress());
  await call("getApiKeys", () => one.ApiKeys.getApiKeys());
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = publicKey.export({ type: "spki", format: "pem" });
  const made = await call("createApiKey", () => one.ApiKeys.createApiKey({ name: "mine", public_key: pem }));
  await call("generateApiKey", () => one.ApiKeys.generateApiKey({ name: "theirs" }));
  await call("deleteApiKey", () => one.ApiKeys.deleteApiKey(made.api_key_id));

  await call("getBalance", () => one.Portfolio.getBalance());
  await call("getDeposits", () => one.Portfolio.getDeposits());
  await call("getWithdrawals", () => one.Portfolio.getWithdrawals());
  await call("getPortfolioRestingOrderTotalValue", () => one.Portfolio.getPortfolioRestingOrderTotalValue());
  await call("getTargetBalanceAllocation", () => one.Portfolio.getTargetBalanceAllocation());
  await call("getIntraExchangeInstanceTransfers", () => one.Portfolio.getIntraExchangeInstanceTransfers());

  const order = await call("createOrderV2", () => one.Orders.createOrderV2(limit(ticker, "bid", "5.00", "0.0100")));
  await call("getOrder", () => one.Orders.getOrder(order.order_id));
  await call("getOrders", () => one.Orders.getOrders(ticker));
  await call("getOrderQueuePosition", () => one.Orders.getOrderQueuePosition(order.order_id));
  await call("getOrderQueuePositions", () => one.Orders.getOrderQueuePositions(ticker));
  await call("amendOrderV2", () => one.Orders.amendOrderV2(order.order_id, {
    ticker, side: "bid", price: "0.0200", count: "4.00",
  }));
  await call("decreaseOrderV2", () => one.Orders.decreaseOrderV2(order.order_id, { reduce_by: "1.00" }));
  await call("cancelOrderV2", () => one.Orders.cancelOrderV2(order.order_id));
  const batch = await call("batchCreateOrdersV2", () => one.Orders.batchCreateOrdersV2({
    orders: [1, 2].map(() => limit(ticker, "bid", "1.00", "0.0100")),
  }));
  await call("batchCancelOrdersV2", () => one.Orders.batchCancelOrdersV2({
    orders: batch.orders.map(({ order_id }) => ({ order_id })),
  }));
  const { order_group_id: group } = await call("createOrderGroup", () =>
    one.OrderGroups.createOrderGroup({ contracts_limit_fp: "50.00" }));
  await call("getOrderGroups", () => one.OrderGroups.getOrderGroups());
  await call("getOrderGroup", () => one.OrderGroups.getOrderGroup(group));
  await call("updateOrderGroupLimit", () =>
    one.OrderGroups.updateOrderGroupLimit(group, { contracts_limit_fp: "60.00" }));
  await call("triggerOrderGroup", () => one.OrderGroups.triggerOrderGroup(group));
  await call("resetOrderGroup", () => one.OrderGroups.resetOrderGroup(group));
  await call("deleteOrderGroup", () => one.OrderGroups.deleteOrderGroup(group));

  // The two accounts meet inside the spread, so that nobody of the world is in between.
  const quoted = (await one.Market.getMarket(ticker)).data.market;
  const between = (Number(quoted.yes_bid_dollars) + 0.01).toFixed(4);
  await call("createOrderV2(maker)", () => two.Orders.createOrderV2(limit(ticker, "ask", "3.00", between)));
  const taken = await call("createOrderV2(taker)", () =>
    one.Orders.createOrderV2(limit(ticker, "bid", "3.00", "0.9900", { time_in_force: "immediate_or_cancel" })));
  await call("getFills", async () => {
    const reply = await one.Portfolio.getFills(ticker, taken.order_id);
    if (reply.data.fills.length === 0) throw new Error("no fill");
    return reply;
  });
  await call("getPositions", () => one.Portfolio.getPositions());
  await call("getSettlements", () => one.Portfolio.getSettlements());

  const rfq = await call("createRFQ", () =>
    one.Communications.createRFQ({ market_ticker: ticker, contracts_fp: "2.00", rest_remainder: false }));
  await call("getRFQs", () => one.Communications.getRFQs());
  await call("getRFQ", () => one.Communications.getRFQ(rfq.id));
  const quote = await call("createQuote", () =>
    two.Communications.createQuote({ rfq_id: rfq.id, yes_bid: "0.02", no_bid: "0.90", rest_remainder: false }));
  await call("getQuotes", () => one.Communications.getQuotes(...undef(10), rfq.id));
  await call("getRFQQuote", () => one.Communications.getRFQQuote(rfq.id, quote.id));
  await call("acceptRFQQuote", () => one.Communications.acceptRFQQuote(rfq.id, quote.id, { accepted_side: "no" }));
  await call("confirmRFQQuote", () => two.Communications.confirmRFQQuote(rfq.id, quote.id));
  const second = await call("createRFQ(second)", () =>
    one.Communications.createRFQ({ market_ticker: other, contracts_fp: "1.00", rest_remainder: false }));
  await call("deleteRFQ", () => one.Communications.deleteRFQ(second.id));
  await call("getCommunicationsID", () => one.Communications.getCommunicationsID());
  const [buyer, seller] = served.accounts.map((account) => account.user_id);
  const block = await call("proposeBlockTrade", () => one.Communications.proposeBlockTrade({
    buyer_user_id: buyer, seller_user_id: seller, market_ticker: ticker, price_centi_cents: 5000, centicount: 100000,
    maker_side: "yes", expiration_ts: new Date(Date.now() + 60_000).toISOString(),
  }));
  await call("getBlockTradeProposals", () => one.Communications.getBlockTradeProposals());
  await call("acceptBlockTradeProposal", () =>
    two.Communications.acceptBlockTradeProposal(block.block_trade_proposal_id));

  await call("upgradeAccountApiUsageLevel", () =>
    one.Account.upgradeAccountApiUsageLevel({ data: {} }));
  await call("createSubaccount", () => one.Portfolio.createSubaccount({}));
  await call("applySubaccountTransfer", () => one.Portfolio.applySubaccountTransfer({
    client_transfer_id: randomUUID(), from_subaccount: 0, to_subaccount: 1, amount_cents: 100,
  }));
  await call("getSubaccountBalances", () => one.Portfolio.getSubaccountBalances());
  await call("getSubaccountTransfers", () => one.Portfolio.getSubaccountTransfers());
  await call("updateSubaccountNetting", () =>
    one.Portfolio.updateSubaccountNetting({ subaccount_number: 1, enabled: true }));
  await call("getSubaccountNetting", () => one.Portfolio.getSubaccountNetting());
  await call("createOrderV2(left)", () => one.Orders.createOrderV2(limit(ticker, "bid", "1.00", "0.0100")));
  await call("cancelAllOrders", () => one.Orders.cancelAllOrders());
  await call("getOrders(none resting)", async () => {
    await pause(1);
    const reply = await one.Orders.getOrders(...undef(4), "resting");
    if (reply.data.orders.length) throw new Error("an order rests");
    return reply;
  });
}

main();

"use strict";
// The page of `kalshi serve`. All text is set as text, never as HTML, so that a title cannot become markup.

const API = "/api/v1/";
const OLD_S = 5; // seconds after which numbers are shown as old
const state = { parts: {}, heard: 0, equity: [], problem: "" };
const $ = (id) => document.getElementById(id);

// -- building blocks ------------------------------------------------------------------------------------------------

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick" || key === "onsubmit") made[key] = value;
    else if (value !== undefined && value !== "") made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function drawing(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const isSet = (value) => value !== null && value !== undefined;
const dollars = (number, places) => number.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: places });
const money = (text) => (isSet(text) ? (Number(text) < 0 ? "-$" : "$") + dollars(Math.abs(Number(text)), 2) : "—");
const gain = (text) => (isSet(text) ? (Number(text) > 0 ? "+" : "") + money(text) : "—");
const price = (text) => (isSet(text) ? "$" + dollars(Number(text), 4) : "—");
const share = (text) => (isSet(text) ? (100 * Number(text)).toFixed(1) + "%" : "—");
const count = (text) => (isSet(text) ? String(Number(text)) : "—");
const clock = (text) => (isSet(text) ? new Date(text).toLocaleTimeString([], { timeZoneName: "short" }) : "—");
const day = (text) => (isSet(text) ? new Date(text).toLocaleString([], { timeZoneName: "short" }) : "—");
// A sentence with its times as they are read here; in the JSON they are in UTC.
const times = (text) => (text || "").replace(/(?<![^\s(])\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z(?![\w-])/g, day);
const tone = (text) => (Number(text) > 0 ? "good" : Number(text) < 0 ? "bad" : "");
const market = (ticker) => element("a", { href: "#market/" + encodeURIComponent(ticker) }, ticker);

// A column: heading, the cell of a row (text or element), and the class of the cell.
function table(caption, columns, rows, empty) {
  if (!rows || !rows.length) return element("p", { class: "soft" }, empty);
  // The roles keep it a table for screen readers where a phone shows rows as cards.
  const head = element("tr", { role: "row" }, ...columns.map(([name, , kind]) => element("th", { scope: "col", role: "columnheader", class: kind }, name)));
  const body = rows.map((row) =>
    element("tr", { role: "row", "data-key": row.trade_id || row.order_id || row.ticker }, ...columns.map(([name, cell, kind, style]) =>
      element("td", { role: "cell", "data-name": name, class: [kind, style ? style(row) : ""].filter(Boolean).join(" ") }, cell(row)))));
  return element("div", { class: "table" },
    element("table", { role: "table" }, element("caption", {}, caption), element("thead", { role: "rowgroup" }, head),
      element("tbody", { role: "rowgroup" }, ...body)));
}

function cards(...pairs) {
  return element("dl", { class: "cards" }, ...pairs.map(([name, value, style, more]) => element("div", { class: "card" },
    element("dt", {}, name), element("dd", { class: style }, value), more ? element("dd", { class: "more" }, more) : null)));
}

// A line over time: the values, what they are, and the times of the first and the last one.
function curve(points, words, show = money, from = "", to = "now") {
  if (points.length < 2) return element("p", { class: "soft" }, "Nothing to draw yet: a chart needs two values");
  const low = Math.min(...points), high = Math.max(...points), span = high - low || 1;
  const at = (value) => (98 - (value - low) / span * 96).toFixed(2);
  const line = points.map((value, n) => (n / (points.length - 1) * 100).toFixed(2) + "," + at(value)).join(" ");
  const zero = low < 0 && high > 0 ? [drawing("line", { class: "zero", x1: 0, x2: 100, y1: at(0), y2: at(0) })] : [];
  return element("figure", {}, element("div", { class: "scale" }, element("span", {}, show(high)), element("span", {}, show(low))),
    drawing("svg", { class: "chart", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img",
      "aria-label": `${words}: from ${show(points[0])} to ${show(points.at(-1))}, at least ${show(low)}, at most ${show(high)}` },
    ...zero, drawing("polyline", { class: "curve", points: line })),
    element("figcaption", {}, element("span", {}, from), element("span", {}, to)));
}

function bars(rows, words) {
  const values = rows.map((row) => Number(row.net));
  const most = Math.max(...values.map(Math.abs), 0.01), wide = 100 / Math.max(rows.length, 12);
  return drawing("svg", { class: "chart", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img",
    "aria-label": words + ": " + rows.map((row) => `${row.key} ${gain(row.net)}`).join(", ") },
  drawing("line", { class: "zero", x1: 0, x2: 100, y1: 50, y2: 50 }),
  ...values.map((value, at) => drawing("rect", { class: value < 0 ? "down" : "up", x: at * wide + wide * 0.1,
    width: wide * 0.8, y: value < 0 ? 50 : 50 - value / most * 48, height: Math.abs(value) / most * 48 })));
}

// What the page offers in place of a command of the terminal. Any other command is named as one.
const PAGE_WORDS = [
  [/(see )?`?kalshi markets --search TEXT`?( finds it)?(, or `?kalshi markets --\w+ [^\s`]+`?( if that is an? \w+)?)?/, "search on the page Markets"],
  [/(run )?`kalshi resume --reason TEXT( --reset-groups)?`/, "press Resume"],
  [/`kalshi (cancel-all --ticker \S+ --no-halt|(order )?cancel [^`]+)`/, "Cancel on the page Orders"],
  [/(run )?(`kalshi order list`|GET \/api\/v1\/orders\S*)/, "the page Orders"],
  [/(run )?(`kalshi positions`|GET \/api\/v1\/positions)/, "the page Positions"],
  [/`kalshi (orderbook|market) [^`]+`/, "the page of the market"],
];

function pageWords(hint) {
  const said = PAGE_WORDS.reduce((words, [command, instead]) => words.replace(command, instead), hint || "");
  const words = /`?kalshi [a-z]/.test(said) ? "in a terminal: " + said : said;
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}

// -- the server -----------------------------------------------------------------------------------------------------

async function call(path, body) {
  const options = body === undefined ? {} :
    { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const reply = await fetch(API + path, options);
  const found = await reply.json();
  // Without a session the hint is for programs: a visitor needs the link.
  const hint = (error) => (error.code === "no_session" ? "" : pageWords(error.hint));
  if (!reply.ok) throw new Error([found.error.message, hint(found.error)].filter(Boolean).join(". "));
  return found;
}

let asked = 0; // The number of the newest question: a plan that arrives for an earlier one is not shown in its place.

// Shows a plan and executes it only after the user confirmed what it shows. `field` asks first for the text `name`.
async function act(words, request, field, name = "reason") {
  const dialog = $("dialog"), input = $("answer").querySelector("input");
  const own = ++asked, isOver = () => own !== asked;
  $("question").textContent = words;
  $("outcome").textContent = "";
  $("facts").replaceChildren();
  $("warnings").replaceChildren();
  $("answer").hidden = !field;
  $("answer").querySelector("span").textContent = field || "";
  input.value = "";
  input.disabled = false;
  $("yes").hidden = false;
  $("yes").disabled = !field; // until there is a plan to confirm
  let plan = null;
  const show = async () => {
    if (field) request[name] = input.value;
    const found = await call("plans", request);
    if (isOver()) return;
    plan = found;
    input.disabled = true; // what is confirmed is what was reviewed
    $("facts").replaceChildren(...plan.facts.map((fact) => element("li", {}, fact)));
    $("warnings").replaceChildren(...plan.warnings.map((warning) => element("li", {}, warning)));
    $("yes").textContent = "Confirm";
    $("yes").disabled = false;
  };
  const fail = (error) => { if (isOver()) return; $("outcome").textContent = error.message; $("yes").hidden = true; };
  $("yes").textContent = field ? "Review" : "Confirm";
  $("yes").onclick = async () => {
    $("yes").disabled = true;
    try {
      if (!plan) { await show(); } else {
        const done = await call(`plans/${plan.plan_id}/execute`, { digest: plan.digest });
        open();
        if (isOver()) return;
        $("outcome").textContent = done.result;
        $("facts").replaceChildren(); // the result is what counts now
        $("warnings").replaceChildren();
        $("yes").hidden = true;
        $("no").textContent = "Close";
      }
    } catch (error) { fail(error); }
    if (!isOver()) $("yes").disabled = false;
  };
  input.oninput = () => { $("outcome").textContent = ""; $("yes").hidden = false; }; // another text may be reviewed
  input.onkeydown = (event) => { if (event.key === "Enter" && !plan && !$("yes").hidden) { event.preventDefault(); $("yes").click(); } };
  $("no").textContent = "Go back";
  $("no").onclick = () => dialog.close();
  dialog.showModal();
  $("no").focus();
  if (!field) { try { await show(); } catch (error) { fail(error); } }
}

// -- pages ----------------------------------------------------------------------------------------------------------

// The price of NO for a price of YES, and the other way round.
const noPrice = (at) => (isSet(at) ? (10000 - Math.round(10000 * Number(at))) / 10000 : null);

const positionColumns = [
  ["Market", (row) => market(row.ticker)],
  ["Quantity", (row) => `${count(row.count)} ${row.side.toUpperCase()}`, "number"],
  ["Avg price", (row) => price(row.average_price), "number"],
  ["Closing price", (row) => price(row.mark), "number"],
  ["Value", (row) => money(row.value), "number"],
  ["Max payout", (row) => money(row.max_payout), "number"],
  ["Unrealized", (row) => gain(row.unrealized), "number", (row) => tone(row.unrealized)],
  ["Title", (row) => row.title || "", "wrap"],
  ["", (row) => allowed.write ? element("span", { class: "buttons" },
    element("button", { onclick: () => act(`Close ${row.ticker}?`, { do: "close", ticker: row.ticker }) }, "Close"),
    element("button", { onclick: () => act(`Close a part of ${row.ticker}?`, { do: "close", ticker: row.ticker },
      `Quantity to close, at most ${count(row.count)}`, "count") }, "Close part")) : ""],
];
// The first digits of an order id, as the terminal shows it.
const orderId = (row) => (row.order_id ? element("span", { title: row.order_id }, row.order_id.slice(0, 8)) : "not confirmed");
// An order as typed here; of others, one that reduces the position sells what is held, any other buys. The exchange lists
// all orders on the book of YES, so the price of NO is one dollar less. Prices are counted in ten-thousandths of a dollar.
function ownTerms(order) {
  const held = (state.parts.positions || []).find((row) => row.ticker === order.ticker && row.subaccount === order.subaccount);
  const isBid = order.book_side === "bid", isClosing = isSet(held) && held.side === (isBid ? "no" : "yes");
  const side = order.typed_side || (isBid !== isClosing ? "yes" : "no");
  const at = side === order.side ? order.price : noPrice(order.price);
  return { words: `${isBid === (side === "yes") ? "buy" : "sell"} ${side.toUpperCase()}`, price: at, side };
}

// The order in words, for a question.
function named(row) {
  const terms = ownTerms(row);
  return `order ${row.order_id.slice(0, 8)}: ${terms.words}, ${count(row.remaining)} at ${price(terms.price)}`;
}

function orderButtons(row) {
  const side = ownTerms(row).side;
  return element("span", { class: "buttons" },
    element("button", { onclick: () => act(`Cancel ${named(row)}?`, { do: "cancel", order_id: row.order_id }) }, "Cancel"),
    ...(allowed.write ? [["price", `New price of ${side.toUpperCase()}, like 0.47`, "Change price"],
      ["count", "New quantity left to trade, like 10", "Change quantity"]] : []).map(([name, field, label]) => element("button",
      { onclick: () => act(`${label} of ${named(row)}?`, { do: "amend", order_id: row.order_id, side }, field, name) }, label)));
}

// What an order does to the position when it fills; empty where that is unknown.
function effect(row) {
  if (!isSet(row.closing)) return "";
  const [sold, bought] = row.book_side === "bid" ? ["NO", "YES"] : ["YES", "NO"];
  const parts = [["closes", Number(row.closing), sold], ["opens", (100 * row.remaining - 100 * row.closing) / 100, bought]];
  return parts.filter(([, some]) => some > 0).map(([verb, some, side]) => `${verb} ${count(some)} ${side}`).join(", ");
}

const orderColumns = [
  ["Market", (row) => market(row.ticker)],
  ["Side", (row) => ownTerms(row).words],
  ["Price", (row) => price(ownTerms(row).price), "number"],
  ["Filled", (row) => `${count(row.filled)}/${count(row.count)}`, "number"],
  ["Effect", effect],
  ["Status", (row) => row.status.toLowerCase()],
  ["Strategy", (row) => row.strategy || "manual"],
  ["Order id", orderId],
  ["", (row) => allowed.stop && row.order_id ? orderButtons(row) : ""],
];
// The rows of fills: two of one that closed a position and opened the opposite one, which share its fee. An older loop
// does not say the parts, or not their fees.
const fillRows = (fills) => fills?.flatMap((row) => (row.parts.length ? row.parts.toReversed() : [{
  words: row.book_side === "bid" ? "buy YES" : "sell YES", price: row.price, count: row.count,
}]).map((part, at) => ({ ...row, ...part, fee: part.fee ?? (at ? null : row.fee) })));
const fillColumns = [
  ["Time", (row) => day(row.time)],
  ["Market", (row) => market(row.ticker)],
  ["Side", (row) => row.words],
  ["Price", (row) => price(row.price), "number"],
  ["Quantity", (row) => count(row.count), "number"],
  ["Fee", (row) => (isSet(row.fee) ? money(row.fee) : ""), "number"],
  ["Liquidity", (row) => (row.is_taker ? "taker" : "maker")],
  ["Strategy", (row) => row.strategy || "manual"],
  ["Order id", orderId],
];
const settlementColumns = [
  ["Time", (row) => day(row.time)],
  ["Market", (row) => market(row.ticker)],
  ["Result", (row) => row.result.toUpperCase()],
  ["Payout", (row) => money(row.revenue), "number"],
  ["P&L", (row) => gain(row.net), "number", (row) => tone(row.net)],
];
const alertColumns = [
  ["Time", (row) => day(row.time)],
  ["State", (row) => row.state || "", "", (row) => (row.state === "firing" ? "bad" : "")],
  ["Severity", (row) => row.tier, "", (row) => (row.tier.toLowerCase() === "critical" ? "bad" : "warn")],
  ["Code", (row) => element("a", { href: "#runbook/" + encodeURIComponent(row.code) }, row.code)],
  ["Subject", (row) => row.subject],
  ["What happened", (row) => times(row.text), "wrap"],
];
const partColumns = (name) => [
  [name, (row) => (row.key ?? row.strategy).replace(/^(\(none\))?$/, "manual")],
  ["Net", (row) => gain(row.net), "number", (row) => tone(row.net)],
  ["Realized", (row) => gain(row.realized), "number"],
  ["Unrealized", (row) => gain(row.unrealized), "number"],
  ["Fees", (row) => money(row.fees), "number"],
];

const pages = {
  overview: () => {
    const run = state.parts.run;
    if (!run) return [element("p", {}, "Reading the account ...")];
    const denied = Object.entries(run.denied || {});
    return [
      element("h1", {}, "Overview"),
      cards([run.settling ? "Equity, settling" : "Equity", money(run.equity), run.settling ? "warn" : ""],
        ["Cash", money(run.cash)], ["P&L today", gain(run.day_pnl), tone(run.day_pnl), isSet(run.daily_loss_limit)
          ? `loss limit ${money(run.daily_loss_limit)}` : ""],
        ["Exposure", money(run.exposure), "", isSet(run.exposure_limit) ? `of ${money(run.exposure_limit)}` : ""],
        ["Positions", String((state.parts.positions || []).length)], ["Live orders", String((state.parts.orders || []).length)],
        ...(run.running ? [["Feed", isSet(run.feed_age_s) ? run.feed_age_s.toFixed(1) + " s" : "—", run.feed_age_s > 3 ? "bad" : "",
          isSet(run.feed_lag_ms) ? `lag ${run.feed_lag_ms} ms` : ""]] : [])),
      run.settling ? element("p", { class: "warn" },
        "Settling: cash and positions were read at different times and do not agree yet.") : null,
      element("h2", {}, "Equity since this page server started"), curve(state.equity, "Equity"),
      ...(state.parts.strategies?.length ? [element("h2", {}, "P&L by strategy"),
        table("Since the loop began", partColumns("Strategy"), state.parts.strategies, "")] : []),
      denied.length ? table("Orders refused by kalshi", [["Limit", (row) => row[0]], ["Times", (row) => String(row[1]), "number"]],
        denied, "") : null,
      element("h2", {}, "Positions"), table("Open positions", positionColumns, state.parts.positions, "No open positions"),
      element("h2", {}, "Alerts"),
      table("Last 24 hours", alertColumns, (state.parts.alerts || []).slice(0, 5), "No alerts in the last 24 hours"),
    ];
  },
  positions: () => [element("h1", {}, "Positions"),
    table("Open positions", positionColumns, state.parts.positions, "No open positions")],
  orders: () => [element("h1", {}, "Orders"), table("Live orders", orderColumns, state.parts.orders, "No live orders"),
    ...(allowed.write ? [element("h2", {}, "New order"), orderForm()] : [])],
  fills: () => [element("h1", {}, "Fills"),
    table("Last 24 hours", fillColumns, fillRows(state.parts.fills), "No fills in the last 24 hours"),
    ...(state.parts.settlements?.length ? [element("h2", {}, "Settlements"),
      table("Last 24 hours", settlementColumns, state.parts.settlements, "")] : [])],
  alerts: () => [element("h1", {}, "Alerts"),
    table("Last 24 hours", alertColumns, state.parts.alerts, "No alerts in the last 24 hours")],
};

const reading = {
  pnl: async () => {
    const [days, parts] = await Promise.all([call("pnl?by=day"), call("pnl?by=strategy")]);
    return [element("h1", {}, "P&L"),
      cards(["Net", gain(days.net), tone(days.net)], ["Realized", gain(days.realized)],
        ["Unrealized", gain(days.unrealized)], ["Fees", money(days.fees)]),
      element("h2", {}, "By day"), days.rows.length ? bars(days.rows, "Net P&L by day") : null,
      table("Net of fees", partColumns("Day"), days.rows, "No trades"),
      element("h2", {}, "By strategy"), table("Net of fees", partColumns("Strategy"), parts.rows, "No trades")];
  },
  markets: async () => {
    const words = new URLSearchParams(location.hash.split("?")[1] || "").get("search") || "";
    const [rows, lists] = await Promise.all([call("markets?limit=100&search=" + encodeURIComponent(words)), call("watchlists")]);
    const input = element("input", { id: "words", value: words });
    return [element("h1", {}, "Markets"),
      element("form", { onsubmit: (event) => { event.preventDefault();
        location.hash = "#markets?search=" + encodeURIComponent(input.value); } },
      element("label", {}, "Words of the title ", input), element("button", {}, "Search")),
      lists.length ? element("p", {}, "Watchlists: ", ...lists.flatMap((list) =>
        [element("a", { href: "#watchlist/" + encodeURIComponent(list.name) }, `${list.name} (${list.tickers.length})`), " "])) : null,
      table("At most 100 open markets", [["Market", (row) => market(row.ticker)], ["Title", (row) => row.title || "", "wrap"],
        ["YES bid", (row) => price(row.yes_bid), "number"], ["YES ask", (row) => price(row.yes_ask), "number"],
        ["Closes", (row) => day(row.close_time)]], rows, "No market matches")];
  },
  watchlist: async (name) => [element("h1", {}, `Watchlist ${name}`),
    table("Best prices on the YES scale", [["Market", (row) => market(row.ticker)], ["Title", (row) => row.title, "wrap"],
      ["Bid", (row) => price(row.bid), "number"], ["Quantity", (row) => count(row.bid_count), "number"],
      ["Ask", (row) => price(row.ask), "number"], ["Quantity", (row) => count(row.ask_count), "number"],
      ["", (row) => allowed.write ? element("button", { onclick: () => act(`Remove ${row.ticker} from ${name}?`,
        { do: "unwatch", list: name, tickers: row.ticker }) }, "Remove") : ""]],
    await call("watchlists/" + encodeURIComponent(name)), "None of its markets is on the exchange")],
  market: async (ticker) => {
    const at = "markets/" + encodeURIComponent(ticker);
    const [found, book, trades] = await Promise.all([call(at), call(at + "/orderbook?depth=10"), call(at + "/trades?limit=20")]);
    const isYoung = Date.now() - Date.parse(found.open_time) < 12 * 3600 * 1000;
    const candles = await call(at + "/candles?interval=" + (isYoung ? "1m" : "1h"));
    const most = Math.max(...[...book.yes_bids, ...book.yes_asks].map((level) => Number(level[1])), 1);
    const level = ([at, size]) => [element("span", { class: "number" }, price(at)), element("span", { class: "number" },
      count(size)), element("meter", { min: 0, max: most, value: Number(size), "aria-label": `${count(size)} at ${price(at)}` })];
    // A minute without a trade, or with one side of the book empty, has no price: it is not a price of 0.
    const priced = candles.filter((each) => isSet(each.close)), closes = priced.map((each) => Number(each.close));
    return [element("h1", {}, found.title || ticker), element("p", { class: "soft" }, ticker),
      cards(["Buy YES at", price(book.best_ask), "", `sell at ${price(book.best_bid)}`],
        ["Buy NO at", price(noPrice(book.best_bid)), "", `sell at ${price(noPrice(book.best_ask))}`], ["Status", found.status],
        ["Closes", day(found.close_time)]),
      allowed.write ? watchForm(ticker) : null,
      element("h2", {}, isYoung ? "Price, last three hours by the minute" : "Price, last week by the hour"),
      curve(closes, "Price", price, isSet(priced[0]) ? day(priced[0].end) : ""),
      ...(allowed.write ? [element("h2", {}, "New order"), orderForm(ticker)] : []),
      ...own("Your position", positionColumns, state.parts.positions, ticker),
      ...own("Your orders", orderColumns, state.parts.orders, ticker),
      element("h2", {}, "YES asks"), element("div", { class: "ladder asks" }, ...book.yes_asks.slice().reverse().flatMap(level)),
      element("h2", {}, "YES bids"), element("div", { class: "ladder" }, ...book.yes_bids.flatMap(level)),
      element("h2", {}, "Trades"), table("Public trades, newest first", [["Time", (row) => day(row.time)],
        ["YES price", (row) => price(row.price), "number"], ["Quantity", (row) => count(row.count), "number"],
        ["Taker bought", (row) => row.taker.toUpperCase()]], trades, "No trades yet"),
      element("h2", {}, "Rules"), element("p", {}, found.rules_primary || "")];
  },
  reports: async () => {
    const found = await call("reports");
    return [element("h1", {}, "Backtest reports"), table(`In ${found.folder}, newest first`, [
      ["Name", (row) => row.problem ? row.name : element("a", { href: "#report/" + encodeURIComponent(row.name) }, row.name)],
      ["Strategy", (row) => row.strategy || row.problem, "wrap"], ["From", (row) => day(row.started)],
      ["Net", (row) => gain(row.net), "number", (row) => tone(row.net)], ["Fills", (row) => row.fills ?? "—", "number"],
      ["Saved", (row) => day(row.modified)]],
    found.reports, `No reports in ${found.folder}. kalshi backtest ... --out ${found.folder}/NAME writes one.`)];
  },
  report: async (name) => {
    const found = await call("reports/" + encodeURIComponent(name));
    const part = (title, rows) => [element("h2", {}, title), table("Net of fees", [["", (row) => row.part],
      ["Round trips", (row) => String(row.round_trips), "number"], ["Quantity", (row) => count(row.count), "number"],
      ["Fees", (row) => money(row.fees), "number"], ["Net", (row) => gain(row.net), "number", (row) => tone(row.net)]],
    rows, "No round trips")];
    const over = (field, words) => curve(found.curve.map((row) => Number(row[field])), words, money, day(found.started), day(found.ended));
    return [element("h1", {}, `Backtest of ${found.strategy}`),
      element("p", { class: "soft" }, `${name}: ${day(found.started)} to ${day(found.ended)}. Fill model ${found.fill_model}, latency ${found.latency}.`),
      found.unknown.length ? element("ul", { class: "warn" }, ...found.unknown.map((each) => element("li", {}, each))) : null,
      cards(["Net", gain(found.net), tone(found.net)], ["Return", share(found.total_return)], ["Fees", money(found.fees)],
        ["Max drawdown", money(found.max_drawdown)], ["Highest exposure", money(found.highest_exposure)],
        ["Fills", String(found.fills)], ["Maker share", share(found.maker_share)], ["Fill rate", share(found.fill_rate)],
        ["Positions won", share(found.position_win_rate)], ["Fills won", share(found.win_rate)]),
      element("h2", {}, "Profit and loss"), over("net", "Profit and loss"),
      element("h2", {}, "Drawdown"), over("drawdown", "Drawdown"),
      element("h2", {}, "Ratios"), table("Per observation, not annualized", [
        ["Ratio", (row) => `${row.measure} per ${row.per}`], ["Value", (row) => isSet(row.value) ? row.value.toFixed(3) : "—", "number"],
        ["Standard error", (row) => isSet(row.standard_error) ? row.standard_error.toFixed(3) : "—", "number"],
        ["Note", (row) => row.note || "", "wrap"]], found.ratios, "None"),
      element("h2", {}, "By market"), table("Net of fees", partColumns("Market"), found.rows, "No trades"),
      ...(found.by_strategy.length ? part("By strategy", found.by_strategy) : []),
      ...part("By hour of the day, UTC", found.by_hour), ...part("By price paid", found.by_price),
      ...part("By time to close", found.by_time_to_close),
      element("h2", {}, "Trades"), table(`${found.trades.length} of ${found.fills} fills; a file of --out has all`,
        [["Time", (row) => day(row.time)], ["Market", (row) => row.ticker],
          ["YES", (row) => (row.book_side === "bid" ? "bought" : "sold")], ["Quantity", (row) => count(row.count), "number"],
          ["Price", (row) => price(row.price), "number"], ["Fee", (row) => money(row.fee), "number"],
          ["Realized", (row) => gain(row.realized), "number", (row) => tone(row.realized)]], found.trades, "No trades")];
  },
  runbooks: async () => [element("h1", {}, "Runbooks"), table("What to do when something is wrong", [
    ["Name", (row) => element("a", { href: "#runbook/" + row.name }, row.name)], ["Title", (row) => row.title, "wrap"]],
  await call("runbooks"), "No runbooks")],
  runbook: async (name) => {
    const found = await call("runbooks/" + encodeURIComponent(name));
    const text = found.lines.join("\n").replaceAll("**", "").replace(/^# .*\n+/, ""); // the first line is the title
    return [element("h1", {}, found.title), element("pre", {}, text)];
  },
};

function watchForm(ticker) {
  const input = element("input", { "aria-label": "Name of the watchlist", required: "required", placeholder: "Watchlist, like nfl" });
  return element("form", { "data-key": "watch " + ticker, onsubmit: (event) => { event.preventDefault();
    act(`Add ${ticker} to the watchlist?`, { do: "watch", list: input.value.trim(), tickers: ticker }); } },
  input, element("button", {}, "Add to watchlist"),
  element("button", { type: "button", onclick: () => act(`Block new positions in ${ticker} for an hour?`,
    { do: "lock", ticker, for: "1h", reason: "from the page" }) }, "Lock for 1h"));
}

// The rows of one market, without its name; nothing where there are none.
function own(title, columns, rows, ticker) {
  const found = (rows || []).filter((row) => row.ticker === ticker);
  const rest = columns.filter(([name]) => !["Market", "Title"].includes(name));
  return found.length ? [element("h2", {}, title), table("In this market", rest, found, "")] : [];
}

// Side and action have no default: a wrong one could be confirmed unread.
function orderForm(ticker = "") {
  const options = { side: ["YES or NO", "yes", "no"], action: ["buy or sell", "buy", "sell"] };
  const fields = [["ticker", "Market"], ["side", "YES or NO"], ["action", "buy or sell"], ["count", "Quantity"], ["price", "Its price, like 0.47"]];
  const inputs = fields.map(([name, words]) => [name, options[name]
    ? element("select", { name, "aria-label": words, required: "required" }, ...options[name].map((each, at) =>
      Object.assign(element("option", {}, name === "side" && at ? each.toUpperCase() : each), { value: at ? each : "" })))
    : element("input", { name, "aria-label": words, placeholder: words, required: "required",
      inputmode: name === "ticker" ? "text" : "decimal", value: name === "ticker" ? ticker : "" })]);
  return element("form", { "data-key": "order " + ticker, onsubmit: (event) => { event.preventDefault();
    act("Place this order?", { do: "place", ...Object.fromEntries(inputs.map(([name, input]) => [name, input.value.trim()])) }); } },
  ...inputs.map(([, input]) => input), element("button", {}, "Review order"));
}

// -- drawing --------------------------------------------------------------------------------------------------------

const allowed = { stop: false, write: false };
const LIVE = ["market", "watchlist"]; // pages of prices, which are read again while they are visible
const AGAIN_MS = 4000;
const NAV = { market: "markets", watchlist: "markets", report: "reports", runbook: "runbooks" };
let turn = 0;

function parts() {
  const [name, ...rest] = location.hash.slice(1).split("?")[0].split("/");
  return [name || "overview", decodeURIComponent(rest.join("/"))];
}

async function open() {
  const [name, argument] = parts(), mine = ++turn, main = $("main");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === "#" + (NAV[name] || name)) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  if (pages[name]) { draw(); return; }
  main.replaceChildren(element("p", { class: "soft" }, "Reading ..."));
  await read(name, argument, mine);
}

async function read(name, argument, mine) {
  const main = $("main");
  try {
    const made = reading[name] ? await reading[name](argument) : [element("p", {}, "No such page")];
    if (mine !== turn) return;
    if (!isTyping()) replace(made);
  } catch (error) {
    if (mine === turn) main.replaceChildren(element("p", { class: "bad", role: "alert" }, error.message));
  }
  if (LIVE.includes(name)) setTimeout(() => again(name, argument, mine), AGAIN_MS);
}

function again(name, argument, mine) {
  if (mine !== turn) return;
  if (document.hidden) setTimeout(() => again(name, argument, mine), AGAIN_MS); else read(name, argument, mine);
}

const isTyping = () => $("main").contains(document.activeElement)
  && ["INPUT", "SELECT"].includes(document.activeElement.tagName) && !document.activeElement.closest("form[data-key]");

// Shows other content. What is the same stays in the page: a redraw must not take the focus, a click that has begun, or
// what is typed in a form.
function replace(content) {
  const focused = document.activeElement;
  updateChildren($("main"), content.filter(Boolean));
  if (focused !== document.activeElement && $("main").contains(focused)) focused.focus({ preventScroll: true }); // it was moved
}

// Gives a node these children. One with a key takes the place of the one with the same key, so that a row stays the row
// of its order; any other that of the next one of its kind.
function updateChildren(node, made) {
  const keyOf = (each) => each.dataset?.key || "";
  const keyed = new Map([...node.children].filter(keyOf).map((each) => [keyOf(each), each]));
  const wanted = new Set(made.map(keyOf));
  for (const old of keyed.values()) if (!wanted.has(keyOf(old))) old.remove();
  let place = node.firstChild;
  for (const each of made) {
    const key = keyOf(each), isNext = place && !key && !keyOf(place) && place.nodeName === each.nodeName;
    const old = key ? keyed.get(key) : isNext ? place : null;
    keyed.delete(key); // a second one with the same key is another one
    if (old && old === place) place = place.nextSibling; else node.insertBefore(old || each, place);
    if (old) update(old, each);
  }
  while (place) { const next = place.nextSibling; place.remove(); place = next; }
}

function update(old, made) {
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== made.data) old.data = made.data; return; }
  if (old.nodeName === "FORM") { if (!keyedForm(old) && !old.isEqualNode(made)) old.replaceWith(made); return; }
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of made.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  old.onclick = made.onclick;
  updateChildren(old, [...made.childNodes]);
}

const keyedForm = (form) => Boolean(form.dataset.key);

function draw() {
  const [name] = parts();
  if (!pages[name]) return;
  if (!isTyping()) replace(pages[name]());
}

function head() {
  const run = state.parts.run;
  if (!run) return;
  const mode = run.mode === run.env ? "" : run.mode.toUpperCase();
  $("place").textContent = [run.env.toUpperCase(), mode, run.real_money ? "REAL MONEY" : "", run.host].filter(Boolean).join(" ");
  $("place").className = "place" + (run.real_money ? " live" : "");
  const names = (run.strategy || "").replaceAll(",", ", ");
  const how = run.attention ? "disabled" : "running";
  const firing = (state.parts.alerts || []).filter((row) => row.state === "firing").length;
  $("loop").textContent = (run.running ? `${names} ${names.includes(",") ? "are" : "is"} ${how}${run.ends ? ` until ${day(run.ends)}` : ""}` : "no strategy is running") +
    (firing ? `, ${firing} ${firing === 1 ? "alert" : "alerts"} firing` : "");
  const age = Math.max(state.parts.silent_s || 0, (Date.now() - state.heard) / 1000);
  const isOld = age > OLD_S;
  document.body.classList.toggle("stale", isOld);
  const words = isOld ? `OLD NUMBERS: ${age.toFixed(0)} s. ${run.problem || ""}` : run.problem ? `PROBLEM: ${run.problem}`
    : run.paused ? `PAUSED: ${run.state_reason || ""}` : run.state !== "active"
      ? `${run.state.toUpperCase()}: ${run.state_code || ""} ${run.state_reason || ""}` : run.attention || "";
  if ($("attention").textContent !== times(words)) $("attention").textContent = times(words);
  $("attention").className = isOld || run.problem || !["active", "paused"].includes(run.state) ? "bad" : "warn";
  $("age").textContent = `Numbers of ${clock(run.time)}, ${age.toFixed(0)} s old`;
  $("pause").hidden = !allowed.stop || run.state !== "active";
  $("resume").hidden = !allowed.write || run.state === "active";
  $("kill").hidden = !allowed.stop;
}

function take(news) {
  if (news.run && news.run.time !== state.parts.run?.time) state.heard = Date.now(); // a failed read keeps the time
  Object.assign(state.parts, news);
  const equity = news.run && (news.run.running || !news.run.settling) && Number(news.run.equity);
  if (equity && state.equity.at(-1) !== equity) state.equity = [...state.equity, equity].slice(-2000);
  head();
  draw();
}

async function begin() {
  $("pause").onclick = () => act("Pause trading?", { do: "pause", reason: "from the page" });
  $("resume").onclick = () => act("Resume trading?", { do: "resume", reason: "", reset_groups: true }, "Why is it safe again?");
  $("kill").onclick = () => {
    const orders = state.parts.orders;
    act(`Halt trading and cancel EVERY order${orders ? ` (${orders.length} now)` : ""}?`, { do: "kill" });
  };
  $("logout").onclick = async () => { await call("logout", {}); location.reload(); };
  addEventListener("hashchange", () => { open(); scrollTo(0, 0); $("main").focus({ preventScroll: true }); });
  setInterval(head, 1000);
  try {
    Object.assign(allowed, await call("allowed"));
    state.equity = await call("equity");
  } catch (error) {
    $("main").replaceChildren(element("p", { class: "bad", role: "alert" }, error.message));
    $("place").textContent = "not connected";
    return;
  }
  const stream = new EventSource(API + "events");
  stream.onmessage = (event) => take(JSON.parse(event.data));
  open();
}

begin();

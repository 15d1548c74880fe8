// What the people behind a front end do, from signing in to leaving, with the client that is generated from
// /api/schema. It must compile as it stands: whatever is read here, the document must promise. Prints what they saw.
import { QueryClient, type UseMutationOptions } from "@tanstack/react-query"
import {
  acceptInvitationMutation,
  adminAdjustAccountMutation,
  adminGetDashboardOptions,
  adminGrantToCustomerMutation,
  adminListCreditsOptions,
  adminListUsageOptions,
  adminListUsersOptions,
  adminVerifyOptions,
  createChatCompletionMutation,
  createImagesMutation,
  createKeyMutation,
  createTeamMutation,
  explainCreditBalanceOptions,
  exportProfileOptions,
  getCreditBalanceOptions,
  getCreditUsageSummaryOptions,
  getKeyOptions,
  getKeyUsageOptions,
  getProfileOptions,
  inviteMemberMutation,
  listCreditGrantsOptions,
  listCreditTransactionsInfiniteOptions,
  listCreditUsageOptions,
  listCustomersOptions,
  listKeysOptions,
  listLabelledModelsOptions,
  listMembersOptions,
  placeHoldMutation,
  revokeKeyMutation,
  rotateKeyMutation,
  settleHoldMutation,
  updateKeyMutation,
  updateMemberMutation,
} from "./generated/@tanstack/react-query.gen"
import { createClient, createConfig } from "./generated/client"
import {
  adminGrantToCustomer,
  createChatCompletion,
  createTeam,
  deleteProfile,
  exportCreditUsage,
  getKey,
  getProfile,
  placeHold,
  streamChat,
} from "./generated/sdk.gen"
import type { ApiError, ApiKey, Explanation, Membership, OpenAiError, Transaction, UiMessageMetadata } from "./generated/types.gen"
import { dashboard } from "./page"

const { PREPAID_URL = "", MODEL = "", ADA = "", BOB = "", BOSS = "", BOBS_ADDRESS = "" } = process.env
const messages = [{ role: "user" as const, content: "What is a ledger?" }]

/** Somebody who has signed in, with a session token or with a key, and what their front end has cached. */
function signedIn(credential: string) {
  const client = createClient(createConfig({ baseUrl: PREPAID_URL, auth: credential }))
  const cache = new QueryClient({ defaultOptions: { queries: { retry: false } } })
  async function submit<Answer, Failure, Asked>(mutation: UseMutationOptions<Answer, Failure, Asked>, asked: Asked): Promise<Answer> {
    return cache.getMutationCache().build(cache, mutation).execute(asked)
  }
  return { client, cache, submit }
}

type Person = ReturnType<typeof signedIn>
const ada = signedIn(ADA)
const bob = signedIn(BOB)
const boss = signedIn(BOSS)

async function gatherATeam() {
  const { client, cache, submit } = ada
  const profile = await cache.fetchQuery(getProfileOptions({ client }))
  const team = await submit(createTeamMutation({ client }), { body: { name: "Analysts", timeZone: "Europe/London" } })
  const invited = await submit(inviteMemberMutation({ client }), { path: { id: team.id }, body: { email: BOBS_ADDRESS, role: "MEMBER" } })
  const joined: Membership = await bob.submit(acceptInvitationMutation({ client: bob.client }), { body: { token: invited.token } })
  const { members } = await cache.fetchQuery(listMembersOptions({ client, path: { id: team.id } }))
  const second = members.find((member) => member.email === BOBS_ADDRESS)
  const promoted = await submit(updateMemberMutation({ client }), { path: { id: team.id, user_id: second?.userId ?? 0 }, body: { role: "ADMIN" } })
  const { customers } = await cache.fetchQuery(listCustomersOptions({ client }))
  return {
    team,
    seen: {
      name: profile.name,
      customers: customers.map(({ kind, name, role }) => [kind, name, role]),
      invited: [invited.status, invited.role],
      joined: [joined.name, joined.role],
      promoted: promoted.role,
    },
  }
}

async function administer(team: number) {
  const { client, cache, submit } = boss
  const { isAdmin } = await cache.fetchQuery(adminVerifyOptions({ client }))
  const give = { path: { id: team }, headers: { "Idempotency-Key": "welcome" }, body: { amount: "100", reason: "Welcome" } }
  const grant = await submit(adminGrantToCustomerMutation({ client }), give)
  const again = await submit(adminGrantToCustomerMutation({ client }), give)
  const other = await adminGrantToCustomer({ client, ...give, body: { amount: "7", reason: "Welcome" } })
  const { creditBalances } = await cache.fetchQuery(adminListCreditsOptions({ client, query: { includeUsageCount: "true" } }))
  const account = creditBalances.find(({ customer }) => customer.id === team)
  const adjusted = await submit(adminAdjustAccountMutation({ client }), {
    path: { id: account?.id ?? 0 },
    headers: { "Idempotency-Key": "correction" },
    body: { adjustment: -10, reason: "Too much" },
  })
  const { users } = await cache.fetchQuery(adminListUsersOptions({ client, query: { search: BOBS_ADDRESS } }))
  // Not asked for, so it is not there: that a count may be missing, the type must say.
  const counts: Array<number | undefined> = users.map((user) => user._count?.usageHistory)
  return {
    isAdmin,
    given: [grant.amount, grant.category, again.id === grant.id],
    other: refused(other),
    adjusted: [adjusted.adjusted, adjusted.balance, account?._count?.usageHistory],
    found: users.map(({ email }) => email),
    counts,
  }
}

async function callModels(team: number) {
  const { client, cache, submit } = ada
  const headers = { "X-Customer-Id": String(team) }
  const created = await submit(createKeyMutation({ client }), {
    headers,
    body: { name: "Laptop", scopes: ["ai", "read"], models: ["openai/*", "google/*"], budget: { amount: "50", period: "MONTH" }, limits: { requestsPerMinute: 600 } },
  })
  const shown: ApiKey = await cache.fetchQuery(getKeyOptions({ client, headers, path: { id: created.id } }))
  // @ts-expect-error The text of a key is shown once, when it is made.
  const hidden: undefined = shown.key
  const holder = signedIn(created.key)
  const answer = await holder.submit(createChatCompletionMutation({ client: holder.client }), {
    body: { model: MODEL, messages, response_format: { type: "text" } },
  })
  const text: string | null | undefined = answer.choices[0]?.message.content
  const streamed = await stream(holder)
  const images = await holder.submit(createImagesMutation({ client: holder.client }), { body: { prompt: "A lighthouse", count: 2 } })
  const { models } = await holder.cache.fetchQuery(listLabelledModelsOptions({ client: holder.client }))
  return {
    key: created,
    holder,
    seen: {
      key: [created.key.startsWith("ppd_live_"), shown.masked.endsWith(created.lastFour), hidden ?? null, shown.budget?.period, shown.limits.tokensPerMinute],
      answer: [text, answer.usage?.completion_tokens],
      streamed,
      images: [images.images.length, images.credits_used],
      models: models.some(({ id }) => id === MODEL),
    },
  }
}

async function stream({ client }: Person) {
  const { stream: chunks } = await streamChat({
    client,
    sseMaxRetryAttempts: 1,
    body: { model: MODEL, messages: [{ role: "user", parts: [{ type: "text", text: "What is a ledger?" }] }] },
  })
  let text = ""
  let told: UiMessageMetadata | undefined
  for await (const chunk of chunks) {
    if (chunk === "[DONE]") break
    if (chunk.type === "text-delta") text += chunk.delta
    if (chunk.type === "finish") told = chunk.messageMetadata
  }
  return [text, told?.creditsCharged, told?.creditsRemaining]
}

async function readTheBooks(team: number, key: number) {
  const { client, cache } = ada
  const ours = { client, headers: { "X-Customer-Id": String(team) } }
  const balance = await cache.fetchQuery(getCreditBalanceOptions(ours))
  const usage = await cache.fetchQuery(listCreditUsageOptions({ ...ours, query: { limit: 10 } }))
  const summary = await cache.fetchQuery(getCreditUsageSummaryOptions({ ...ours, query: { groupBy: "feature" } }))
  const ofTheKey = await cache.fetchQuery(getKeyUsageOptions({ ...ours, path: { id: key } }))
  const { grants } = await cache.fetchQuery(listCreditGrantsOptions(ours))
  const { pages } = await cache.fetchInfiniteQuery({
    ...listCreditTransactionsInfiniteOptions({ ...ours, query: { limit: 2 } }),
    initialPageParam: {},
    getNextPageParam: (page) => page.nextCursor,
    pages: 10,
  })
  const entries: Transaction[] = pages.flatMap((page) => page.transactions)
  const why: Explanation = await cache.fetchQuery(explainCreditBalanceOptions({ ...ours, query: { from: "2020-01-01" } }))
  const sheet = await exportCreditUsage({ ...ours, throwOnError: true })
  return {
    balance: [balance.creditsRemaining, balance.balance, balance.held],
    usage: usage.data.map(({ operationType, creditsUsed, details }) => [operationType, creditsUsed, details.status, details.keyName]),
    total: usage.pagination.total,
    summary: summary.groups.map(({ feature, calls, charged }) => [feature, calls, charged]),
    ofTheKey: ofTheKey.totals.charged,
    grants: grants.map(({ amount, remaining }) => [amount, remaining]),
    pages: pages.map((page) => page.transactions.length),
    statement: entries.map(({ kind, amount, balanceAfter }) => [kind, amount, balanceAfter]),
    why: [why.balance, why.lots.map((lot) => lot.remaining), why.difference?.movements.map(({ kind, amount }) => [kind, amount])],
    sheet: sheet.data.trim().split("\n").length,
    page: await dashboard(ours),
  }
}

async function setAside(team: number) {
  const { client, submit } = ada
  const ours = { client, headers: { "X-Customer-Id": String(team), "Idempotency-Key": "run-42" } }
  const placed = await submit(placeHoldMutation(), { ...ours, body: { amount: "5", expiresIn: 600 } })
  const settled = await submit(settleHoldMutation(), {
    ...ours,
    headers: { ...ours.headers, "Idempotency-Key": "end-of-run-42" },
    path: { id: placed.id },
    body: { amount: "1.5" },
  })
  const tooMuch = await placeHold({ ...ours, headers: { ...ours.headers, "Idempotency-Key": "run-43" }, body: { amount: "5000" } })
  return { placed: [placed.status, placed.free], settled: [settled.status, settled.spent], tooMuch: refused(tooMuch) }
}

async function keepKeys(team: number, id: number) {
  const { client, cache, submit } = ada
  const ours = { client, headers: { "X-Customer-Id": String(team) } }
  const renamed = await submit(updateKeyMutation(ours), { path: { id }, body: { name: "Desktop", budget: null, metadata: { team: "analysts" } } })
  const rotated = await submit(rotateKeyMutation(ours), { path: { id }, body: { overlap: 0 } })
  await submit(revokeKeyMutation(ours), { path: { id: rotated.id } })
  const { keys } = await cache.fetchQuery(listKeysOptions(ours))
  const revoked = await createChatCompletion({ client: signedIn(rotated.key).client, body: { model: MODEL, messages } })
  return {
    renamed: [renamed.name, renamed.budget, renamed.metadata["team"]],
    rotated: [rotated.replaces.id === id, rotated.replaces.status, rotated.key.startsWith("ppd_live_")],
    keys: keys.map(({ name, status }) => [name, status]),
    revoked: refusedByTheGateway(revoked),
  }
}

async function areRefused() {
  const { client, submit } = bob
  const wrong = await createTeam({ client, body: { name: "", timeZone: "Mars/Olympus" } })
  const missing = await getKey({ client, path: { id: 4711 } })
  const poor = await submit(createKeyMutation({ client }), { body: { name: "Without a credit" } })
  const tooDear = await createChatCompletion({ client: signedIn(poor.key).client, body: { model: MODEL, messages } })
  return {
    wrong: refused(wrong),
    fields: wrong.error?.details?.map(({ field, code }) => [field, code]),
    missing: refused(missing),
    tooDear: refusedByTheGateway(tooDear),
  }
}

async function leave() {
  const { client, cache } = bob
  const kept = await cache.fetchQuery(exportProfileOptions({ client }))
  const left = await deleteProfile({ client, body: { confirm: "DELETE" } })
  const gone = await getProfile({ client })
  return {
    kept: [kept.user.email, kept.memberships.map(({ customer, role }) => [customer, role]), kept.keys.map(({ name }) => name), kept.entries.length],
    left: left.response?.status,
    gone: gone.response?.status,
  }
}

async function lookBack() {
  const { client, cache } = boss
  const calls = await cache.fetchQuery(adminListUsageOptions({ client }))
  const board = await cache.fetchQuery(adminGetDashboardOptions({ client }))
  return {
    calls: calls.data.map(({ operationType, customer, details }) => [operationType, customer.name, details.shortfall]),
    users: board.totalUsers,
    usage: board.usage.map(({ currency, calls: made, charged }) => [currency, made, charged]),
  }
}

function refused({ error, response }: { error?: ApiError; response?: Response }) {
  return [response?.status, error?.code, error?.required, error?.available]
}

function refusedByTheGateway({ error, response }: { error?: OpenAiError; response?: Response }) {
  return [response?.status, error?.error.code, error?.error.required, error?.error.available]
}

const { team, seen: gathered } = await gatherATeam()
const administered = await administer(team.id)
const { key, seen: called } = await callModels(team.id)
const read = await readTheBooks(team.id, key.id)
const held = await setAside(team.id)
const kept = await keepKeys(team.id, key.id)
const refusals = await areRefused()
const left = await leave()
const looked = await lookBack()
console.log(JSON.stringify({ gathered, administered, called, read, held, kept, refusals, left, looked }))

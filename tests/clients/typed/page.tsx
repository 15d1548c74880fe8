// A page of the front end as a server component renders it: prefetched there, taken over by hooks in the browser.
import { dehydrate, HydrationBoundary, QueryClient, QueryClientProvider, useInfiniteQuery, useMutation, useQuery } from "@tanstack/react-query"
import { renderToString } from "react-dom/server"
import {
  createKeyMutation,
  getCreditBalanceOptions,
  listCreditTransactionsInfiniteOptions,
  listCreditUsageOptions,
} from "./generated/@tanstack/react-query.gen"
import type { Client } from "./generated/client"

type Signed = { client: Client; headers: { "X-Customer-Id": string } }

const statement = (signed: Signed) => ({
  ...listCreditTransactionsInfiniteOptions({ ...signed, query: { limit: 2, kind: "USAGE" } }),
  initialPageParam: {},
  getNextPageParam: (page: { nextCursor: string | null }) => page.nextCursor,
})

function Dashboard(signed: Signed) {
  const { data: balance, error } = useQuery(getCreditBalanceOptions(signed))
  const { data: usage } = useQuery(listCreditUsageOptions(signed))
  const { data: entries, hasNextPage } = useInfiniteQuery(statement(signed))
  const create = useMutation(createKeyMutation(signed))
  if (error) return <p role="alert">{error.details?.[0]?.message ?? error.message}</p>
  return (
    <main>
      <p>{balance?.available} credits</p>
      <p>{usage?.data.length} calls</p>
      <ul>
        {entries?.pages.flatMap((page) => page.transactions.map((entry) => <li key={entry.id}>{entry.amount}</li>))}
      </ul>
      {hasNextPage && <button>More</button>}
      <button onClick={() => create.mutate({ body: { name: "Another" } })}>New key</button>
      {create.data && <code>{create.data.key}</code>}
      {create.error?.code === "FORBIDDEN" && <p role="alert">{create.error.message}</p>}
    </main>
  )
}

/** The page as HTML. */
export async function dashboard(signed: Signed): Promise<string> {
  const cache = new QueryClient()
  await Promise.all([
    cache.prefetchQuery(getCreditBalanceOptions(signed)),
    cache.prefetchQuery(listCreditUsageOptions(signed)),
    cache.prefetchInfiniteQuery(statement(signed)),
  ])
  return renderToString(
    <QueryClientProvider client={new QueryClient()}>
      <HydrationBoundary state={dehydrate(cache)}>
        <Dashboard {...signed} />
      </HydrationBoundary>
    </QueryClientProvider>,
  ).replaceAll("<!-- -->", "")
}

"""Details of single jobs: which ones to fetch, the fetching, and the cache of fetched ones."""

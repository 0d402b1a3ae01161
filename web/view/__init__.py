"""Pure functions from recorded values to what a template may show. Nothing here reads a store or a request."""

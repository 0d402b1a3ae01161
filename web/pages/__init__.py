"""One module per page: read the store, build the page's context, hand it to the renderer."""

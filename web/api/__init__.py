"""The description of the viewer's JSON and forms, as OpenAPI: types in, schemas out; routes in, one document out."""

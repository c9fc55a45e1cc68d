"""The OCPI protocol as a library: objects, text forms, headers, paging, HTTP. It has no tables."""

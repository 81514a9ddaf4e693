"""The pages: what people see in a browser.

They are rendered in the node's process and speak to it through `api.service.Service` alone, as the
caller whom the gate has recognised: a page can do nothing that the interface cannot.
(docs/decisions/0013-pages.md)
"""

"""The post office: letters stored, forwarded, put in order and handed out (spec/08-letters).

It decides and never does I/O of its own: a driver gives it time, frames and random bytes, and does
what its effects say.
"""

from maillon.node.engine.post.office import PostFull, PostOffice, Wish

__all__ = ["PostFull", "PostOffice", "Wish"]

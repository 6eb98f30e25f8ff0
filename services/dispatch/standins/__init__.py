"""Stand-ins for providers: real servers over real sockets that keep what they are given and fail when they are told to.

Shipped, for `povod demo` and for anybody's tests; they obey the laws of the channels' ports. Nothing here sends anything anywhere.
"""

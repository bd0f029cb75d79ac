"""The controller: gathers what is, plans (pure) what should be, and applies the difference.

observed   what was gathered of one namespace. Plain data
plan/      pure: objects, webhook entries, pods, restarts, status, Events
gather     the watch caches, and how they become `observed`
apply      server-side apply of what isn't already so
references where profiles come from, and their immutable copies
handlers   kopf's side: ModelMonitors that come, change and go
program    all of it as one process
"""

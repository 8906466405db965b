"""Text that would run in a page that takes it for markup, a template or a script."""

HOSTILE = (
    '</script><script>window.hacked = 1</script>" onerror="window.hacked = 2" '
    '<img src=x onerror="window.hacked = 3">\'--><!--<script>\u2028${title} é 中'
)

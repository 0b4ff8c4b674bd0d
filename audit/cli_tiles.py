"""`medai audit tiles export DIR`: the log as static files (C2SP tlog-tiles), for any web server to hand on."""

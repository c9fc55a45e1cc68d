"""`python -m peer`: serve on a free port, and print the address as the one line of JSON."""

import json
import os
import socket

import uvicorn


def main() -> None:
    """The library reads its settings when it is imported, so the port has to be known before."""
    listener = socket.create_server(("127.0.0.1", 0))
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    os.environ.update(OCPI_HOST=host, PROTOCOL="http", COUNTRY_CODE="NL", PARTY_ID="EMS")
    from peer.app import app

    print(json.dumps({"url": f"http://{host}"}), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()

"""Azure on one machine, for `make up` and the tests; no part of the product.

`engine/` and `pulumi_cli.py` provide the Pulumi engine, `environment.py` the Python packages,
`home.py` a sandbox's own folder and its environment variables, `provider/` the stand-in for Azure,
`certificates.py` the certificates of the dev stack, and `__main__.py` the commands of the Makefile.
"""

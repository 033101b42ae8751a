"""Azure on one machine, for `make up` and the tests; no part of the product.

`engine/` and `pulumi_cli.py` provide the Pulumi engine, `environment.py` the Python packages,
`home.py` a sandbox's own folder and its environment variables, `provider/` the stand-in for Azure's
control plane, `dataplane/` what runs as that says, `serving.py` and `samples.py` its start and a
download as proof, `no_names.py` the DNS where nothing runs, `certificates.py` the certificates of
the dev stack, `dashboard/` the workbook's picture of it, `packages.py` servers of
the distribution without root, and `__main__.py` and `commands.py` the commands of the Makefile.
"""

//go:build tools

// The command line of Pulumi is built from this module too: naming it here keeps it in go.mod.
package main

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"

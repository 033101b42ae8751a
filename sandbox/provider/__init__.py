"""The sandbox's Azure: a stand-in for the plug-in pulumi-resource-azure-native, state in SQLite."""

"""The product: a cloud distribution point and its parts, as Pulumi components."""

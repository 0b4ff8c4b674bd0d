"""What the product is made of. So far: `lockfile`, which reads the hashed locks."""

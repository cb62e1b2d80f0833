"""The rows, a module for each screen: data only, in the order in which footer, palette and help show them."""

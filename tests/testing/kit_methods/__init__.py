"""Methods to try the conformance kit with: right ones, and such as are wrong in one point each."""

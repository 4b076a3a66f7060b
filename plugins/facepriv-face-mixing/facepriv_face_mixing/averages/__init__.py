"""The averages that the package ships: mean faces of many people each, never a person's photo."""

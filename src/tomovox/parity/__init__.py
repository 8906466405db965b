"""Are our models and metrics those of the published code, number by number?"""

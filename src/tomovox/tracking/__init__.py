"""How does an experiment appear in MLflow, and what becomes of it when MLflow is away?"""

"""stub"""
def ui() -> None:
    """x"""

# What comes after routes.py and cassandra.py: `look()` is called when the program has imported something. What it has not imported
# is left alone. `wanted` names what is switched on.
waiting = {module: wraps for name in wanted for module, wraps in WRAPS[name].items()}
NOTHING_LEFT, LATER, AT_ONCE = 0, 1, 2


def look():
    again = LATER
    for name in list(waiting):
        module = sys.modules.get(name)
        # A lazy module is of a class of its own, until it is loaded.
        if type(module) is not type(sys):
            continue
        if getattr(getattr(module, "__spec__", None), "_initializing", False):
            again = AT_ONCE
            continue
        for owner, method, wrap, template in waiting.pop(name, ()):
            try:
                owner = getattr(module, owner)
                setattr(owner, method, wrap(template, vars(owner)[method]))
            except Exception:
                pass  # another version
    return again if waiting else NOTHING_LEFT

"""What is wrong with how the service was set up."""


class ConfigurationError(Exception):
    """The operator has to change something; the service does not start.

    Its text is one line, shown as it is: it names the file or setting and says what to do, and holds no secret.
    """

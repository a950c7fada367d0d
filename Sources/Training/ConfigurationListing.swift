/// Every key of a configuration with its default, what it takes and what it means, for `--help`.
public enum ConfigurationListing {
  public static let text: String = {
    let defaults = Configuration()
    return Configuration.keys.map { key in
      "  \(key.path): \(key.get(defaults).yaml)   (\(key.allowed))\n      \(key.documentation)"
    }.joined(separator: "\n")
  }()
}

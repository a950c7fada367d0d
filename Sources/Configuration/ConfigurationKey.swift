import Foundations
import Images

/// The declaration of one setting: what reading, checking, writing and documenting it need.
public struct ConfigurationKey: Sendable {
  /// Sections and name, "training.optimizer.learning_rate".
  public let path: String
  public let kind: Kind
  /// Whether `null` is a value.
  public let isOptional: Bool
  /// Whether its texts are paths, in which `~` and variables are replaced.
  public let namesFiles: Bool
  /// One line.
  public let documentation: String
  public let effect: Effect

  let get: @Sendable (Configuration) -> ConfigurationValue
  /// Stores a value that ``accept(_:)`` has let pass.
  let set: @Sendable (inout Configuration, ConfigurationValue) -> Void

  public enum Kind: Sendable, Equatable {
    case text
    /// A text, or a list of texts.
    case texts
    case boolean
    case integer(ClosedRange<Int>)
    case number(ClosedRange<Double>)
    /// A number for all channels, or a list of three.
    case channels(ClosedRange<Double>)
    /// A number, or a list of two that something is drawn between.
    case range(ClosedRange<Double>, isWhole: Bool)
    case choice([String])
  }

  /// Whether a run may be resumed with another value.
  public enum Effect: Sendable, Equatable {
    /// Other values give other weights.
    case result
    /// Other values give the same weights, or only end the run earlier or later.
    case harmless
  }

  /// Name without the sections.
  public var name: String { String(path.split(separator: ".").last!) }
  /// The sections before the name: "training.optimizer".
  public var section: String { path.split(separator: ".").dropLast().joined(separator: ".") }

  /// What the key takes, in words.
  public var allowed: String {
    let words: String
    switch kind {
    case .text: words = "text"
    case .texts: words = "a text or a list of texts"
    case .boolean: words = "true or false"
    case .choice(let names):
      words = names.joined(separator: names.contains { $0.contains(",") } ? " or " : ", ")
    case .integer(let range):
      words =
        range.upperBound == .max
        ? "a whole number, at least \(range.lowerBound)"
        : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .range(let range, let isWhole):
      words =
        "[low, high], \(isWhole ? "whole numbers" : "numbers") from \(range.lowerBound.shortest) to "
        + "\(range.upperBound.shortest), or one for both"
    case .number(let range), .channels(let range):
      var bounds: [String] = []
      if range.lowerBound == .leastNonzeroMagnitude {
        bounds.append("above 0")
      } else if range.lowerBound > -.greatestFiniteMagnitude {
        bounds.append("at least \(range.lowerBound.plain)")
      }
      if range.upperBound == 1.0.nextDown {
        bounds.append("below 1")
      } else if range.upperBound < .greatestFiniteMagnitude {
        bounds.append("at most \(range.upperBound.plain)")
      }
      words =
        (["a number"] + bounds).joined(separator: bounds.count > 1 ? ", " : " ")
        + (isForChannels ? ", or three of them (red, green, blue)" : "")
    }
    return isOptional ? "\(words), or null" : words
  }

  private var isForChannels: Bool {
    if case .channels = kind { true } else { false }
  }

  /// Whether a list of numbers is a value.
  var takesNumbers: Bool {
    switch kind {
    case .channels, .range: true
    default: false
    }
  }

  /// Checks `value` against type and range; an integer passes as a number.
  /// - Throws: ``Refusal``.
  func accept(_ value: ConfigurationValue) throws -> ConfigurationValue {
    func refusal() -> Refusal { Refusal(reason: "must be \(allowed), not \(value.shown)") }
    switch (kind, value) {
    case (_, .none) where isOptional: return value
    case (.text, .text), (.texts, .list), (.boolean, .boolean): return value
    case (.texts, .text(let text)): return .list([text])
    case (.choice(let names), .text(let text)):
      guard names.contains(text) else {
        var refusal = Refusal(reason: "must be one of \(names.joined(separator: ", "))")
        refusal.reason += ", not \(value.shown)"
        if let near = nearest(to: text, among: names) { refusal.reason += "; '\(near)'?" }
        throw refusal
      }
      return value
    case (.integer(let range), .integer(let number)):
      guard range.contains(number) else { throw refusal() }
      return value
    case (.number(let range), .integer(let number)):
      guard range.contains(Double(number)) else { throw refusal() }
      return .number(Double(number))
    case (.number(let range), .number(let number)):
      guard range.contains(number) else { throw refusal() }
      return value
    case (.channels, .integer(let number)): return try accept(.numbers([Double(number)]))
    case (.channels, .number(let number)): return try accept(.numbers([number]))
    case (.channels(let range), .numbers(let numbers)):
      // They are used in float32, in which they must be numbers above 0 as well.
      let single = numbers.map { Double(Float($0)) }
      guard let values = ChannelValues(numbers), numbers.allSatisfy(range.contains),
        single.allSatisfy(range.contains)
      else { throw refusal() }
      return .numbers(values.list)
    case (.range, .integer(let number)): return try accept(.numbers([Double(number)]))
    case (.range, .number(let number)): return try accept(.numbers([number]))
    case (.range(let range, let isWhole), .numbers(let numbers)):
      guard (1...2).contains(numbers.count), numbers.allSatisfy(range.contains),
        numbers[0] <= numbers.last!, !isWhole || numbers.allSatisfy({ $0 == $0.rounded() })
      else { throw refusal() }
      return Self.range(numbers[0]...numbers.last!)
    default: throw refusal()
    }
  }

  struct Refusal: Error { var reason: String }

  /// A range as it is written: one number where both ends are the same.
  private static func range(_ range: ClosedRange<Double>) -> ConfigurationValue {
    .numbers(
      range.lowerBound == range.upperBound
        ? [range.lowerBound] : [range.lowerBound, range.upperBound])
  }
}

// MARK: - Declaring keys

extension ConfigurationKey {
  typealias Path<Value> = WritableKeyPath<Configuration, Value> & Sendable

  private init(
    _ path: String, _ kind: Kind, optional: Bool = false, _ effect: Effect, files: Bool = false,
    _ documentation: String,
    get: @escaping @Sendable (Configuration) -> ConfigurationValue,
    set: @escaping @Sendable (inout Configuration, ConfigurationValue) -> Void
  ) {
    self.path = path
    self.kind = kind
    self.isOptional = optional
    self.effect = effect
    self.namesFiles = files
    self.documentation = documentation
    self.get = get
    self.set = set
  }

  private static func unexpected(_ value: ConfigurationValue) -> Never {
    preconditionFailure("a value that accept(_:) lets pass was expected, got \(value)")
  }

  static func text(
    _ path: String, _ place: Path<String>, effect: Effect = .result, files: Bool = false,
    _ documentation: String
  ) -> Self {
    Self(path, .text, effect, files: files, documentation) {
      .text($0[keyPath: place])
    } set: {
      guard case .text(let text) = $1 else { unexpected($1) }
      $0[keyPath: place] = text
    }
  }

  static func optionalText(
    _ path: String, _ place: Path<String?>, effect: Effect = .result, files: Bool = false,
    _ documentation: String
  ) -> Self {
    Self(path, .text, optional: true, effect, files: files, documentation) {
      $0[keyPath: place].map { .text($0) } ?? .none
    } set: {
      switch $1 {
      case .none: $0[keyPath: place] = nil
      case .text(let text): $0[keyPath: place] = text
      default: unexpected($1)
      }
    }
  }

  static func texts(
    _ path: String, _ place: Path<[String]>, effect: Effect = .result, files: Bool = false,
    _ documentation: String
  ) -> Self {
    Self(path, .texts, optional: true, effect, files: files, documentation) {
      $0[keyPath: place].isEmpty ? .none : .list($0[keyPath: place])
    } set: {
      switch $1 {
      case .none: $0[keyPath: place] = []
      case .list(let texts): $0[keyPath: place] = texts
      default: unexpected($1)
      }
    }
  }

  static func boolean(
    _ path: String, _ place: Path<Bool>, effect: Effect = .result, _ documentation: String
  ) -> Self {
    Self(path, .boolean, effect, documentation) {
      .boolean($0[keyPath: place])
    } set: {
      guard case .boolean(let value) = $1 else { unexpected($1) }
      $0[keyPath: place] = value
    }
  }

  static func integer(
    _ path: String, _ place: Path<Int>, _ range: ClosedRange<Int>, effect: Effect = .result,
    _ documentation: String
  ) -> Self {
    Self(path, .integer(range), effect, documentation) {
      .integer($0[keyPath: place])
    } set: {
      guard case .integer(let value) = $1 else { unexpected($1) }
      $0[keyPath: place] = value
    }
  }

  /// - Parameter excludes: the key that loses its value when this one gets one.
  static func optionalInteger(
    _ path: String, _ place: Path<Int?>, _ range: ClosedRange<Int>, effect: Effect = .result,
    excludes other: Path<Int?>? = nil, _ documentation: String
  ) -> Self {
    Self(path, .integer(range), optional: true, effect, documentation) {
      $0[keyPath: place].map { .integer($0) } ?? .none
    } set: {
      switch $1 {
      case .none: $0[keyPath: place] = nil
      case .integer(let value):
        $0[keyPath: place] = value
        if let other { $0[keyPath: other] = nil }
      default: unexpected($1)
      }
    }
  }

  static func number(
    _ path: String, _ place: Path<Double>, _ range: ClosedRange<Double>, effect: Effect = .result,
    _ documentation: String
  ) -> Self {
    Self(path, .number(range), effect, documentation) {
      .number($0[keyPath: place])
    } set: {
      guard case .number(let value) = $1 else { unexpected($1) }
      $0[keyPath: place] = value
    }
  }

  static func channels(
    _ path: String, _ place: Path<ChannelValues>, _ range: ClosedRange<Double>,
    effect: Effect = .result, _ documentation: String
  ) -> Self {
    Self(path, .channels(range), effect, documentation) {
      .numbers($0[keyPath: place].list)
    } set: {
      guard case .numbers(let numbers) = $1, let values = ChannelValues(numbers) else {
        unexpected($1)
      }
      $0[keyPath: place] = values
    }
  }

  /// - Parameter isWhole: whether both ends are whole numbers.
  static func range(
    _ path: String, _ place: Path<ClosedRange<Double>>, _ bounds: ClosedRange<Double>,
    isWhole: Bool = false, effect: Effect = .result, _ documentation: String
  ) -> Self {
    Self(path, .range(bounds, isWhole: isWhole), effect, documentation) {
      range($0[keyPath: place])
    } set: {
      guard case .numbers(let numbers) = $1, let low = numbers.first, let high = numbers.last else {
        unexpected($1)
      }
      $0[keyPath: place] = low...high
    }
  }

  static func optionalChoice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
    _ path: String, _ place: Path<Choice?>, effect: Effect = .result, _ documentation: String
  ) -> Self {
    Self(path, .choice(Choice.allCases.map(\.rawValue)), optional: true, effect, documentation) {
      $0[keyPath: place].map { .text($0.rawValue) } ?? .none
    } set: {
      switch $1 {
      case .none: $0[keyPath: place] = nil
      case .text(let name):
        guard let choice = Choice(rawValue: name) else { unexpected($1) }
        $0[keyPath: place] = choice
      default: unexpected($1)
      }
    }
  }

  static func choice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
    _ path: String, _ place: Path<Choice>, effect: Effect = .result, _ documentation: String
  ) -> Self {
    Self(path, .choice(Choice.allCases.map(\.rawValue)), effect, documentation) {
      .text($0[keyPath: place].rawValue)
    } set: {
      guard case .text(let name) = $1, let choice = Choice(rawValue: name) else { unexpected($1) }
      $0[keyPath: place] = choice
    }
  }
}

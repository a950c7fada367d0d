/// Which of a detector's two classes comes first.
public enum ClassOrder: String, Sendable, CaseIterable {
  case realFake = "real,fake"
  /// As folders are sorted by name.
  case fakeReal = "fake,real"
}

/// What the last layer of a detector gives, and where.
public enum HeadForm: String, Sendable, CaseIterable {
  /// A logit for each class.
  case softmax
  /// One logit s, of the second class: read as the two (0, s).
  case sigmoid
  /// A logit for each class over the average of the last map, whatever the head of the weights is.
  case linear
  /// A logit for each class at every position of the last map.
  case patch

  public var kind: HeadKind { self == .patch ? .patch : .linear }
}

/// How the head of weights from elsewhere is read. Whatever it is there, the detector then has two
/// logits, real first.
public struct HeadReading: Sendable, Equatable {
  public var classes: ClassOrder
  public var form: HeadForm
  /// Whether a head of another size may be replaced by a fresh one, to be trained.
  public var isReplaceable: Bool

  public init(
    classes: ClassOrder = .realFake, form: HeadForm = .softmax, isReplaceable: Bool = false
  ) {
    self.classes = classes
    self.form = form
    self.isReplaceable = isReplaceable
  }
}

/// What was found out about weights while they were loaded, for the user.
public struct WeightsRemark: Sendable, Equatable, CustomStringConvertible {
  /// Whether it may be other than the user expects.
  public let isWarning: Bool
  /// One line.
  public let text: String

  public var description: String { "\(isWarning ? "warning" : "note"): \(text)" }

  public static func note(_ text: String) -> Self { Self(isWarning: false, text: text) }
  public static func warning(_ text: String) -> Self { Self(isWarning: true, text: text) }
}

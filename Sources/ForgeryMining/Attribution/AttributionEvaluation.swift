/// How well attribution does on a set of fake images, plain and centred: what `attribution.json`
/// tells.
public struct AttributionEvaluation: Equatable, Sendable {
  /// What one kind of attribution achieves.
  public struct Kind: Equatable, Sendable {
    /// Closed set: the images of methods that have a prototype.
    public var confusion: ConfusionMatrix
    /// AUROC of the largest similarity, known against unknown methods; nil if either has no images.
    public var knownAgainstUnknown: Double?
    /// The rejection threshold that was given and what it does on these images; nil if none was
    /// given or no image is of a known method.
    public var rejection: RejectionThreshold?
    /// AUROC of the largest similarity where each method in turn is taken for unknown: every known
    /// image with all prototypes, against the same image with those of the other methods alone, as if
    /// its own had never been seen. Nil with fewer than three prototypes or without known images.
    public var knownAgainstLeftOut: Double?
    /// The fraction of the latter that the threshold rejects; nil without a threshold too.
    public var rejectedLeftOut: Double?
    /// Open set: the fraction of all images that are treated rightly with the threshold, known ones
    /// accepted and attributed to their own method, unknown ones rejected; nil without a threshold.
    public var openSetAccuracy: Double?
  }

  /// Images of methods that have a prototype.
  public var known: Int
  /// Images of other methods.
  public var unknown: Int
  public var plain: Kind
  public var centred: Kind
  /// The kind to go by where only one is wanted.
  public var preferred: AttributionKind

  /// The results of one kind.
  public subscript(kind: AttributionKind) -> Kind { kind == .plain ? plain : centred }

  /// Judges a trial.
  ///
  /// - Parameters:
  ///   - trial: the images.
  ///   - preferred: the kind that was chosen on validation data; nil: the one that is more accurate
  ///     on these images, which is right only if these are the validation data.
  ///   - plainThreshold: rejection threshold on plain similarities, from validation data.
  ///   - centredThreshold: likewise for centred ones.
  public init(
    _ trial: AttributionTrial, preferred: AttributionKind? = nil, plainThreshold: Double? = nil,
    centredThreshold: Double? = nil
  ) {
    known = (0..<trial.images).count { trial.method($0) != nil }
    unknown = trial.images - known
    plain = Kind(trial, .plain, threshold: plainThreshold)
    centred = Kind(trial, .centred, threshold: centredThreshold)
    self.preferred =
      preferred
      ?? .moreAccurate(plain: plain.confusion.accuracy, centred: centred.confusion.accuracy)
  }
}

extension AttributionEvaluation.Kind {
  init(_ trial: AttributionTrial, _ kind: AttributionKind, threshold: Double?) {
    confusion = ConfusionMatrix(methods: trial.methods)
    var known: [Double] = []
    var unknown: [Double] = []
    var leftOut: [Double] = []
    var right = 0
    for image in 0..<trial.images {
      let similarities = trial.similarities(image)
      let largest = similarities.largest(kind)
      let accepted = threshold.map { largest >= $0 } ?? true
      if let truth = trial.method(image), let prediction = similarities.likeliestMethod(kind) {
        confusion.add(truth: truth, prediction: prediction)
        known.append(largest)
        if trial.methods.count >= 3 { leftOut.append(trial.largestWithOthers(image, kind)) }
        if accepted && truth == prediction { right += 1 }
      } else {
        unknown.append(largest)
        if !accepted { right += 1 }
      }
    }
    knownAgainstUnknown = areaUnderROC(positives: known, negatives: unknown)
    knownAgainstLeftOut = areaUnderROC(positives: known, negatives: leftOut)
    rejectedLeftOut = threshold.flatMap { threshold in
      leftOut.isEmpty
        ? nil : Double(leftOut.count { $0 < threshold }) / Double(leftOut.count)
    }
    rejection = threshold.flatMap {
      known.isEmpty ? nil : RejectionThreshold(value: $0, known: known, unknown: unknown)
    }
    openSetAccuracy =
      threshold == nil || trial.images == 0 ? nil : Double(right) / Double(trial.images)
  }
}

extension AttributionEvaluation: Encodable {
  enum CodingKeys: String, CodingKey {
    case images, plain, centred, preferred
    case unknown = "unknown_images"
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(known, forKey: .images)
    try container.encode(unknown, forKey: .unknown)
    try container.encode(plain, forKey: .plain)
    try container.encode(centred, forKey: .centred)
    try container.encode(preferred, forKey: .preferred)
  }
}

extension AttributionEvaluation.Kind: Encodable {
  enum CodingKeys: String, CodingKey {
    case accuracy, methods, confusion, recall, threshold
    case balancedAccuracy = "balanced_accuracy"
    case knownAgainstUnknown = "auroc_known_unknown"
    case acceptedKnown = "accepted_known"
    case rejectedUnknown = "rejected_unknown"
    case knownAgainstLeftOut = "auroc_left_out"
    case rejectedLeftOut = "rejected_left_out"
    case openSetAccuracy = "open_set_accuracy"
  }

  /// Writes all figures, null where they are undefined. Rows of `confusion` are true methods,
  /// columns named ones, both in the order of `methods`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(confusion.accuracy, forKey: .accuracy)
    try container.encode(confusion.balancedAccuracy, forKey: .balancedAccuracy)
    try container.encode(confusion.methods, forKey: .methods)
    try container.encode(confusion.counts, forKey: .confusion)
    try container.encode(confusion.recalls, forKey: .recall)
    try container.encode(knownAgainstUnknown, forKey: .knownAgainstUnknown)
    try container.encode(rejection?.value, forKey: .threshold)
    try container.encode(rejection?.acceptedKnown, forKey: .acceptedKnown)
    try container.encode(rejection?.rejectedUnknown, forKey: .rejectedUnknown)
    try container.encode(knownAgainstLeftOut, forKey: .knownAgainstLeftOut)
    try container.encode(rejectedLeftOut, forKey: .rejectedLeftOut)
    try container.encode(openSetAccuracy, forKey: .openSetAccuracy)
  }
}

import Configuration
import Evaluation
import ForgeryMining
import Foundations
import Images

/// Everything that a run's report shows, as plain values: ``ReportPage`` makes the page of it.
///
/// What a run lacks is nil or empty; ``missing`` may say why.
public struct ReportContents: Sendable {
  /// A part that a run may lack.
  public enum Part: String, Sendable, CaseIterable {
    case training, validation, detection, localisation, prototypes, attribution, examples
    case configuration, environment
  }

  /// The run's name.
  public var name: String
  public var record = TrainingRecord()
  /// The resolved settings.
  public var configuration: Configuration?
  /// `environment.json`.
  public var environment: JSON?
  public var checkpoint: CheckpointChoice?
  public var evaluation: DetectorEvaluation?
  /// The run's splits, as their shards tell; for the model's card.
  public var splits: [DataSplit] = []
  /// How the faces of the training were cut out; nil where nothing says it.
  public var preprocessing: String?
  /// What the detector does on data sets beside; for the model's card.
  public var dataSets: DataSetsFile?
  /// Why a part is not there, or not whole: a sentence.
  public var missing: [Part: String] = [:]

  public init(name: String) { self.name = name }

  /// The checkpoint that was evaluated.
  public struct CheckpointChoice: Sendable, Equatable {
    public var path: String
    public var step: Int
    /// `best` or `latest` where it was found by that link.
    public var role: String?
    public var detector: String
    /// Side of its input in pixels.
    public var crop: Int

    public init(path: String, step: Int, role: String?, detector: String, crop: Int) {
      self.path = path
      self.step = step
      self.role = role
      self.detector = detector
      self.crop = crop
    }
  }
}

/// What a detector does on a set of images, as a report shows it.
public struct DetectorEvaluation: Sendable {
  /// The shards, as the pattern or patterns that name them.
  public var data: String
  /// Images in the shards, and those of them that were scored.
  public var images: Int
  public var scored: Int
  public var metrics: EvaluationMetrics
  /// Mean cross-entropy.
  public var loss: Double
  /// All fakes against all real images.
  public var curve: ROCCurve
  /// The fakes of each method against all real images, in the order of the methods' names.
  public var methodCurves: [(name: String, curve: ROCCurve)]
  /// Share of the real and of the fake images whose probability of fake lies in each of so many equal
  /// parts of 0…1; empty for a class without images.
  public var scores: (real: [Double], fake: [Double]) = ([], [])
  /// Sources that the scored images come from.
  public var sources = 0
  /// How intervals were made; nil where there are none, since images name no sources.
  public var bootstrap: SourceBootstrap?
  /// How far probabilities can be believed.
  public var reliability: Reliability?
  /// The detector was calibrated with these very images.
  public var isCalibrationData = false
  /// Methods among these that the run's training and validation did without
  /// (`data.exclude_methods`).
  public var leftOutMethods: [String] = []
  /// Fake images whose maps were taken for localisation and attribution.
  public var mapped = 0
  /// By kind of map.
  public var localisation: [AttentionKind: EvaluationJob.Localisation] = [:]
  public var prototypes: PrototypeGallery?
  public var attribution: AttributionEvaluation?
  public var examples: [Example] = []

  public init(
    data: String, images: Int, scored: Int, metrics: EvaluationMetrics, loss: Double,
    curve: ROCCurve, methodCurves: [(name: String, curve: ROCCurve)]
  ) {
    self.data = data
    self.images = images
    self.scored = scored
    self.metrics = metrics
    self.loss = loss
    self.curve = curve
    self.methodCurves = methodCurves
  }

  /// Methods that have fakes here, in the order of their names.
  public var methods: [String] { methodCurves.map(\.name) }
}

/// Prototypes with the faces that they were taken from.
public struct PrototypeGallery: Sendable {
  public var prototypes: Prototypes
  /// Of each method, where it is known.
  public var meanFaces: MeanFaces?
  /// Where the prototypes come from: a clause, such as "of this checkpoint".
  public var origin: String

  public init(prototypes: Prototypes, meanFaces: MeanFaces?, origin: String) {
    self.prototypes = prototypes
    self.meanFaces = meanFaces
    self.origin = origin
  }
}

/// One image with what the detector says of it.
public struct Example: Sendable {
  /// Why it is shown.
  public enum Reason: String, Sendable {
    case typical = "typical"
    case missed = "missed fake"
    case falseAlarm = "false alarm"
  }

  public var reason: Reason
  /// Its source or path, if the shard tells; else its number.
  public var name: String
  /// "real", or the method that made it.
  public var method: String
  public var probability: Double
  /// The likeliest method by the prototypes, and its similarity.
  public var attributed: (method: String, similarity: Double)?
  /// What the detector saw.
  public var image: RGBImage
  /// FAM and CAM drawn over it; a detector may have no CAM.
  public var attention: RGBImage
  public var activation: RGBImage?
  /// The image after SFE.
  public var erased: RGBImage

  public init(
    reason: Reason, name: String, method: String, probability: Double,
    attributed: (method: String, similarity: Double)?, image: RGBImage, attention: RGBImage,
    activation: RGBImage?, erased: RGBImage
  ) {
    self.reason = reason
    self.name = name
    self.method = method
    self.probability = probability
    self.attributed = attributed
    self.image = image
    self.attention = attention
    self.activation = activation
    self.erased = erased
  }
}

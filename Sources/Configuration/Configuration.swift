import ForgeryMining
import Images
import Networks

/// What a training does: every setting, with the paper's values as defaults (Wang and Deng,
/// "Representative Forgery Mining for Fake Face Detection", CVPR 2021, section 4.1), but for the probability
/// of erasing (``paper``).
///
/// In YAML the names are written with underscores, `training.batch_per_rank` for
/// `training.batchPerRank`. ``keys`` declares them all, with type, range and documentation.
public struct Configuration: Sendable, Equatable {
  public var run = Run()
  public var data = DataSource()
  public var model = Model()
  public var augmentation = Augmentation()
  /// What is done to training images before they are cropped; in YAML it stands in `augmentation` too.
  public var imageAugmentation = AugmentationSettings()
  public var training = Training()
  public var evaluation = Evaluation()
  public var checkpoint = Checkpoint()
  public var prototypes = Prototypes()
  public var communication = Communication()

  public init() {}

  /// The paper's settings: the defaults, but that every image is erased.
  public static let paper = {
    var configuration = Configuration()
    configuration.augmentation.probability = 1
    return configuration
  }()

  /// Where the run's files go, and what its random numbers start from.
  public struct Run: Sendable, Equatable {
    public var name = "demo"
    public var directory = "runs"
    public var seed = 5
    /// Whether TensorBoard's event files are written into the folder.
    public var tensorboard = true
    /// Whether a training that ends writes its report.
    public var report = true
    /// A file that Prometheus' collectors read; nil: none is written.
    public var metricsFile: String?

    /// The folder of this run.
    public var folder: String { "\(directory)/\(name)" }
  }

  /// The images, and how batches are made of them.
  public struct DataSource: Sendable, Equatable {
    /// Patterns of training shards; at least one.
    public var train: [String] = []
    /// Patterns of validation shards; none: no evaluation while training.
    public var validation: [String] = []
    /// Patterns of test shards, for a comparison; none: it is told otherwise.
    public var test: [String] = []
    /// Names of manipulation methods whose images are left out.
    public var excludeMethods: [String] = []
    /// Side of the square that the network sees.
    public var crop = 224
    public var flip = true
    public var order = Order.shuffled
    public var sampling = Sampling.balanced
    /// Share of the fakes that are made of real faces by blending them with themselves.
    public var selfBlended = 0.0
    public var assignment = Assignment.sample
    /// Batches that are read ahead.
    public var prefetch = 3
    /// Pixels become (value / 255 − mean) / std, each channel with its own.
    public var mean: ChannelValues = 0.5
    public var std: ChannelValues = 0.25

    public enum Order: String, Sendable, CaseIterable { case shuffled, sequential }
    public enum Sampling: String, Sendable, CaseIterable { case balanced, uniform }
    public enum Assignment: String, Sendable, CaseIterable { case sample, shard }
  }

  /// The detector.
  public struct Model: Sendable, Equatable {
    public var name = Name.xception
    /// A file of weights to begin from: safetensors, an index of several, or PyTorch's.
    public var weights: String?
    /// Which class comes first in those; nil: what they say themselves, or else real.
    public var classes: ClassOrder?
    /// What its head is, and that of those; nil: a linear layer of two logits.
    public var head: HeadForm?
    /// The stage in which the network ends; nil: it is whole.
    public var truncate: String?
    /// Share of the head's inputs that a training pass leaves out.
    public var dropout = 0.0
    /// How often the last residual branch is left out of an image's training pass.
    public var dropPath = 0.0

    public typealias Name = DetectorName

    /// The network that is trained.
    public var form: DetectorForm {
      DetectorForm(name, truncate: truncate, head: head?.kind ?? .linear)
    }
  }

  /// What is done to the images before the update.
  public typealias Augmentation = ErasingSettings

  /// The updates.
  public struct Training: Sendable, Equatable {
    /// Updates in all; nil where ``epochs`` is given.
    public var steps: Int? = 500_000
    /// Passes over the training data; nil where ``steps`` is given.
    public var epochs: Int?
    public var batchPerRank = 16
    public var accumulate = 1
    /// The flood level b of |L − b| + b; 0: no flooding.
    public var flooding = 0.04
    /// Share of the target that both classes have in equal parts.
    public var labelSmoothing = 0.0
    /// Largest norm of all gradients together; 0: they are not clipped.
    public var clipNorm = 0.0
    /// Decay of the moving average of the weights; 0: there is none.
    public var average = 0.0
    /// The stage whose weights, and all before, stay as they are; nil: all are trained.
    public var freeze: String?
    public var batchNorm = BatchNorm.local
    /// What becomes of a step whose loss or gradients are not finite.
    public var nonFinite = NonFinite.stop
    /// Threads of a rank; nil: its share of the machine's cores.
    public var threads: Int?
    public var optimizer = Optimizer()
    public var schedule = Schedule()
    public var precision = Precision()
    public var multiply = Multiply()

    public enum BatchNorm: String, Sendable, CaseIterable { case local, synchronized }
    public enum NonFinite: String, Sendable, CaseIterable { case stop, skip }

    public struct Optimizer: Sendable, Equatable {
      public var name = Name.adam
      public var learningRate = 0.0002
      public var weightDecay = 0.0
      /// Multiples of the learning rate, `STAGE=NUMBER`; see ``Configuration/stageRates``.
      public var stageRates: [String] = []
      /// For SGD.
      public var momentum = 0.9
      public var nesterov = false
      /// For Adam and AdamW.
      public var beta1 = 0.9
      public var beta2 = 0.999
      public var epsilon = 1e-8

      public enum Name: String, Sendable, CaseIterable { case adam, adamw, sgd }
    }

    public struct Schedule: Sendable, Equatable {
      public var name = Name.constant
      public var warmupSteps = 0
      /// For cosine: the learning rate at the end.
      public var minimum = 0.0
      /// For step: every so many steps the rate is multiplied by ``factor``.
      public var every = 100_000
      public var factor = 0.1

      public enum Name: String, Sendable, CaseIterable { case constant, cosine, step }
    }

    public struct Precision: Sendable, Equatable {
      public var attention = Element.float32
      public var training = Element.float32

      public enum Element: String, Sendable, CaseIterable { case float32, bfloat16 }

      public var usesBFloat16: Bool { attention == .bfloat16 || training == .bfloat16 }
    }

    /// How matrices are multiplied, as `MultiplyWays` has it, or the fastest as measured.
    ///
    /// float32 is not measured unless somebody asks: two runs of one configuration would differ in their last
    /// bits where two libraries are as fast.
    public struct Multiply: Sendable, Equatable {
      public var float32 = Float32.onednn
      public var bfloat16 = BFloat16.measured

      /// Of float32 matrices.
      public enum Float32: String, Sendable, CaseIterable { case measured, onednn, openblas }
      /// Of matrices that are stored as bfloat16.
      public enum BFloat16: String, Sendable, CaseIterable {
        case measured, packed, onednn, widened
      }
    }

    /// The number of updates, given how many make an epoch.
    public func totalSteps(stepsPerEpoch: Int) -> Int {
      precondition(stepsPerEpoch > 0, "an epoch must have at least one step, has \(stepsPerEpoch)")
      guard let epochs else { return steps ?? 500_000 }
      let (total, overflow) = epochs.multipliedReportingOverflow(by: stepsPerEpoch)
      return overflow ? .max : total
    }
  }

  /// Evaluation on the validation shards while training.
  public struct Evaluation: Sendable, Equatable {
    /// 0: never.
    public var everySteps = 3000
    /// Images of a rank that are run at a time.
    public var batch = 32
    /// Validations without improvement after which a training ends; 0: it goes on to its last step.
    public var patience = 0
    /// What has to improve.
    public var metric = Metric.auc

    /// Names as in `metrics.jsonl`.
    public enum Metric: String, Sendable, CaseIterable {
      case auc, ap, accuracy, eer, loss

      /// Whether less of it is better.
      public var isBetterLower: Bool { self == .eer || self == .loss }
    }
  }

  public struct Checkpoint: Sendable, Equatable {
    public var everySteps = 3000
    /// How many of the newest stay; the best one stays in any case.
    public var keep = 3
  }

  /// The prototypes that are computed at every checkpoint.
  public struct Prototypes: Sendable, Equatable {
    /// 0: none are computed.
    public var imagesPerMethod = 100
  }

  /// How ranks work together.
  public struct Communication: Sendable, Equatable {
    public var bucketMegabytes = 8.0
    public var compression = Compression.none
    /// Ranks of a host add up gradients in memory that they share.
    public var hostMemory = true
    /// How often the replicas' digests are compared; 0: never.
    public var digestEverySteps = 1000
    /// How long a rank waits for another that does nothing; 0: for ever.
    public var watchdogSeconds = 600.0

    public enum Compression: String, Sendable, CaseIterable { case none, bfloat16 }
  }
}

extension PixelNormalisation {
  /// That of a configuration.
  package init(_ source: Configuration.DataSource) { self.init(mean: source.mean, std: source.std) }
}

extension Configuration {
  /// The configuration with the values that follow from others filled in.
  ///
  /// - Parameter threads: what a rank gets when `training.threads` does not say.
  public func resolved(threads: Int) -> Configuration {
    var result = self
    let side = SuspiciousForgeriesErasing.proportionalSide(crop: data.crop)
    result.augmentation.maxHeight = augmentation.maxHeight ?? side
    result.augmentation.maxWidth = augmentation.maxWidth ?? side
    result.training.threads = training.threads ?? threads
    return result
  }

  /// Differences that somebody chose: not those that follow from the crop, or from the machine.
  ///
  /// - Parameter base: settings as they were before ``resolved(threads:)``.
  public func chosenDifferences(from base: Configuration) -> [Difference] {
    var usual = base
    usual.data.crop = data.crop
    let own = Set(differences(from: usual.resolved(threads: training.threads ?? 1)).map(\.key))
    return differences(from: base).filter { own.contains($0.key) || $0.key == "data.crop" }
  }
}

import CKernels

#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// The ways in which matrices are multiplied: which of those that a processor has.
///
/// Each rounds sums in an order of its own, so a run that is to be repeated bit by bit takes the same.
public struct MultiplyWays: Sendable, Equatable {
  /// Libraries that multiply float32.
  public enum Float32: String, Sendable, CaseIterable, Codable {
    case onednn, openblas

    /// "oneDNN".
    public var name: String { self == .openblas ? "OpenBLAS" : "oneDNN" }
  }

  /// Of operands that are stored as bfloat16.
  public enum BFloat16: String, Sendable, CaseIterable, Codable {
    /// Weights are packed once and multiplied by this project's own kernel (`bfloat16_multiply.h`): some 10 %
    /// faster than oneDNN, which packs them anew for every tile.
    case packed
    /// oneDNN's, which makes use of matrix tiles (AMX) where there are some.
    case onednn
    /// In float32 arithmetic, for processors whose bfloat16 dot products are slow, or that have none.
    case widened
  }

  public var float32: Float32
  public var bfloat16: BFloat16

  public init(float32: Float32, bfloat16: BFloat16) {
    self.float32 = float32
    self.bfloat16 = bfloat16
  }

  /// `RFM_GEMM`, which names ways whatever else is said: `openblas` in float32, `packed` or `widened` in bfloat16,
  /// `onednn` in both (in bfloat16 where it can). Empty where it is not set.
  public static let named: String = {
    let text = getenv("RFM_GEMM").map { String(cString: $0) } ?? ""
    guard
      text.isEmpty || Float32(rawValue: text) != nil
        || BFloat16(rawValue: text).map(possible) == true
    else {
      fatalError(
        "RFM_GEMM names a multiply that there is not, or that this processor doesn't run; use onednn, openblas, "
          + "packed or widened, or leave it unset")
    }
    return text
  }()

  /// What the processor's instructions suggest, or ``named``.
  public static let usual = {
    let wanted = named
    let bfloat16: BFloat16 =
      if wanted == "widened" || rfm_has_bfloat16() == 0 {
        .widened
      } else if wanted == "packed" {
        .packed
      } else if wanted == "onednn" || rfm_has_matrix_tiles() != 0 || rfm_bf16_multiplies() == 0 {
        .onednn
      } else {
        .packed
      }
    return MultiplyWays(float32: wanted == "openblas" ? .openblas : .onednn, bfloat16: bfloat16)
  }()

  /// Whether this processor can.
  public static func possible(_ way: BFloat16) -> Bool {
    switch way {
    case .packed: rfm_bf16_multiplies() != 0
    case .onednn: rfm_has_bfloat16() != 0
    case .widened: true
    }
  }

  /// What a processor does with each way, floating-point operations a second on all workers.
  public struct Rates: Sendable {
    /// Of each library.
    public let float32: [(way: Float32, rate: Double)]
    /// Empty where it was not measured.
    public let bfloat16: [(way: BFloat16, rate: Double)]

    /// What another library must be faster by to be taken: below, noise would decide.
    static let margin = 1.05

    /// oneDNN's, unless another is faster by more than noise.
    public var fastestFloat32: Float32 {
      let usual = float32.first { $0.way == .onednn }!
      let best = float32.max { $0.rate < $1.rate }!
      return best.rate > Self.margin * usual.rate ? best.way : .onednn
    }

    /// The fastest that `isAllowed`.
    public func fastestBFloat16(_ isAllowed: (BFloat16) -> Bool = { _ in true }) -> BFloat16 {
      bfloat16.filter { isAllowed($0.way) }.max { $0.rate < $1.rate }?.way ?? .widened
    }
  }

  /// Measures, by turns, what this processor does with each way that it has: some tenths of a second.
  ///
  /// - Parameter withBFloat16: whether bfloat16 is measured too.
  public static func rates(_ workers: WorkerPool, withBFloat16: Bool = true) -> Rates {
    let libraries = Float32.allCases
    let ways = withBFloat16 ? BFloat16.allCases.filter { possible($0) } : []
    let memories = MultiplyRate.memories(workers)
    func rate(_ kind: MultiplyRate.Kind) -> Double {
      MultiplyRate.measure(kind, workers, repeats: 1, rounds: 1, in: memories)
    }
    let rounds = (0..<5).map { _ in
      (libraries.map { rate(.float32($0)) }, ways.map { rate(.bfloat16($0)) })
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    return Rates(
      float32: libraries.indices.map { i in (libraries[i], median(rounds.map { $0.0[i] })) },
      bfloat16: ways.indices.map { i in (ways[i], median(rounds.map { $0.1[i] })) })
  }
}

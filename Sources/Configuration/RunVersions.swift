import Foundations
import HierarchicalData
import Networks
import Tensors

/// Versions of what a run depends on.
public enum RunVersions {
  public static let rfm = "0.1.0"

  /// The order in which a step adds up. A run that was begun with another one goes on, with sums that
  /// may differ in their last bits.
  ///
  /// 2: one engine for all networks. Before, and where a record has none, Xception had an engine of its
  /// own, and in bfloat16 the other networks' weight gradients were multiplied by oneDNN.
  ///
  /// 3: ranks of a host add up before hosts do, where there are several of both; running statistics are added
  /// up in the order of gradients.
  public static let arithmetic = 3

  /// The order in which a training that shuffles draws its samples. A checkpoint tells it, and is refused by
  /// a version with another one: its position would be one in other permutations.
  ///
  /// 2: computed place by place. Before, and where a checkpoint tells none, lists were shuffled.
  public static let sampleOrder = 2

  /// Tells which library multiplies float32.
  public static let float32Multiply = "float32_multiply"
  /// Tells how bfloat16 is multiplied, where a training does.
  public static let bfloat16Multiply = "bfloat16_multiply"

  public static var all: [JSON.Member] {
    [
      .init("rfm", .text(rfm)), .init("arithmetic", .integer(arithmetic)),
      .init("sample_order", .integer(sampleOrder)),
      .init("onednn", .text(MatrixMultiply.oneDNNVersion)),
      .init("openblas", .text(MatrixMultiply.openBLASConfiguration)),
      .init(float32Multiply, .text(MatrixMultiply.library)),
      .init(bfloat16Multiply, .text(MatrixMultiply.ways.bfloat16.rawValue)),
      .init("hdf5", .text(HDF5Library.version)),
      .init("kernels", .text(KernelSelection.instructionSet)),
    ]
  }
}

import Foundations
import HierarchicalData
import Networks
import Tensors

/// Versions of what a run depends on.
public enum RunVersions {
  public static let rfm = "0.1.0"

  public static var all: [JSON.Member] {
    [
      .init("rfm", .text(rfm)), .init("onednn", .text(MatrixMultiply.oneDNNVersion)),
      .init("openblas", .text(MatrixMultiply.openBLASConfiguration)),
      .init("float32_multiply", .text(MatrixMultiply.library)),
      .init("hdf5", .text(HDF5Library.version)),
      .init("kernels", .text(KernelSelection.instructionSet)),
    ]
  }
}

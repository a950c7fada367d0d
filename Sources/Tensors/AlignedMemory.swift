#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Zeroed memory aligned to 64 bytes, a cache line and an AVX-512 register, freed with its owner.
///
/// Programs plan their buffers in a few of these before the first step; kernels see raw pointers.
public final class AlignedMemory: @unchecked Sendable {
  public let address: UnsafeMutableRawPointer
  /// Size in bytes.
  public let size: Int

  public init(size: Int) {
    let rounded = max(64, (size + 63) / 64 * 64)
    var memory: UnsafeMutableRawPointer?
    let status = posix_memalign(&memory, rounded >= 1 << 21 ? 1 << 21 : 64, rounded)
    guard status == 0, let memory else { Self.giveUp(bytes: rounded) }
    if rounded >= 1 << 22 {
      // Whole activations are streamed through: large pages spare the address translation.
      madvise(memory, rounded, MADV_HUGEPAGE)
    }
    memset(memory, 0, rounded)
    self.address = memory
    self.size = rounded
  }

  deinit { free(address) }

  /// Ends the process with one line and the status of a failed input or output: sizes come from the
  /// settings, so this is no fault of the program that a stack would explain.
  private static func giveUp(bytes: Int) -> Never {
    let line =
      "rfm: out of memory: \(bytes >> 20) MiB were asked for at once; smaller batches "
      + "(training.batch_per_rank, --batch) or a smaller crop need less\n"
    _ = line.utf8CString.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress!, $0.count - 1) }
    exit(74)
  }

  public func floats(at byteOffset: Int = 0) -> UnsafeMutablePointer<Float> {
    (address + byteOffset).assumingMemoryBound(to: Float.self)
  }

  public func doubles(at byteOffset: Int = 0) -> UnsafeMutablePointer<Double> {
    (address + byteOffset).assumingMemoryBound(to: Double.self)
  }
}

/// What the numbers of HDF5's filters stand for.
///
/// Source: "HDF5 User's Guide", table of predefined filters; The HDF Group's list of registered
/// filters.
enum HDF5Filters {
  private static let names: [Int: String] = [
    1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scale-offset",
    305: "LZO", 307: "bzip2", 32000: "lzf", 32001: "blosc", 32002: "MAFISC", 32003: "snappy",
    32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP", 32015: "zstd", 32017: "SZ", 32026: "blosc2",
  ]

  /// As in "lzf (HDF5 filter 32000)", or "HDF5 filter 4711" where it is not a known one.
  static func name(_ number: Int) -> String {
    names[number].map { "\($0) (HDF5 filter \(number))" } ?? "HDF5 filter \(number)"
  }
}

extension HDF5Storage {
  /// Why this machine's library can't read the data, and what to do; `nil` if it can.
  public var unreadableBecause: String? {
    guard let filter = missingFilters.first else { return nil }
    // Not h5repack: where it lacks the filter too, it leaves the dataset away and ends well.
    return "compressed with \(HDF5Filters.name(filter)), which is not installed here; read them "
      + "with " + (filter == 32000 ? "h5py" : "h5py and hdf5plugin")
      + " and write them again with compression=\"gzip\""
  }

  /// Rows of the first axis that are unpacked to read one of them: those of a chunk, where a filter
  /// makes a chunk readable only as a whole.
  public var rowsUnpackedTogether: Int {
    guard layout == .chunked, let rows = chunk.first else { return 1 }
    return deflate != nil || shuffle || fletcher32 || !otherFilters.isEmpty ? max(1, rows) : 1
  }
}
